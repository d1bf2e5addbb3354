"""Commands as values, so that several domains' work for one event goes to Redis in one round trip."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

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
