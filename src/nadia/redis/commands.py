"""Commands as values, so that several domains' work for one event goes to Redis in one round trip."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

Argument: TypeAlias = str | int | float


@dataclass(frozen=True)
class Script:
    """A Lua script, which Redis knows by its digest once it has run it.

    Parameters
    ----------
    text : str
        The source.
    """

    text: str
    digest: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "digest", digest)

    def call(self, *, keys: Sequence[str], args: Sequence[Argument]) -> "Command":
        """Return the command that runs it."""
        return Command(("EVALSHA", self.digest, len(keys), *keys, *args), script=self)


@dataclass(frozen=True, slots=True)
class Command:
    """A command for Redis.

    Parameters
    ----------
    words : tuple
        Its name and arguments.
    script : Script, optional
        What it runs.
    """

    words: tuple[Argument, ...]
    script: Script | None = None

    @property
    def with_text(self) -> tuple[Argument, ...]:
        """What to send when Redis does not know the script: its text, which Redis then remembers."""
        assert self.script is not None, "only a script can be unknown"
        return ("EVAL", self.script.text, *self.words[2:])


class SendsCommands(Protocol):
    """Who only reads asks for no more of a connection than this."""

    async def send(self, commands: Sequence[Command]) -> list[object]:
        """Send commands in one round trip and return their answers; raises UnavailableError."""


class RunsScripts(SendsCommands, Protocol):
    """Who has scripts run asks for this too."""

    async def run(self, script: Script, *, keys: Sequence[str], args: Sequence[Argument]) -> object:
        """Run a script and return its answer; raises UnavailableError."""


class SurveysServers(SendsCommands, Protocol):
    """Who looks at the servers themselves asks for each of them."""

    async def servers(self) -> Sequence[SendsCommands]:
        """Return each server that takes writes: one, or the primaries of a cluster; raises UnavailableError."""


def info_of(answer: object) -> Mapping[str, str]:
    """Return the fields of an INFO, whether a connection hands it over as Redis's text or as the driver's mapping."""
    if isinstance(answer, Mapping):
        return {str(name): str(value) for name, value in answer.items()}
    lines = (line.partition(":") for line in str(answer).splitlines() if not line.startswith("#"))
    return {name: value for name, separator, value in lines if separator}


def pack(commands: Sequence[Command]) -> bytes:
    """Return commands as they go over the wire (Redis serialization protocol, arrays of bulk strings)."""
    packed = []
    for command in commands:
        packed.append(f"*{len(command.words)}\r\n")
        for word in command.words:
            text = str(word)
            length = len(text) if text.isascii() else len(text.encode())
            packed.append(f"${length}\r\n{text}\r\n")
    return "".join(packed).encode()
