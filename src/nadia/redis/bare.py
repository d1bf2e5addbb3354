"""A connection to one Redis without the driver, for those who ask a little and have to be small.

The driver takes 10 MB and a tenth of a second to import, most of what a whole health check may take (DESIGN section 7).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from nadia.errors import UnavailableError
from nadia.redis.commands import Argument, Command, Script, SendsCommands, pack
from nadia.redis.source import RedisSource

_PORT: Final = 6379

_DEEPEST: Final = 32
"""Lists in lists that an answer may have; none of ours has more than three."""


class BareRedis:
    """Sends commands and reads answers (Redis serialization protocol, version 2).

    Parameters
    ----------
    source : RedisSource
        Where Redis is; `suits` says whether this can reach it.
    """

    def __init__(self, source: RedisSource) -> None:
        self._source = source
        self._turn = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @staticmethod
    def suits(source: RedisSource) -> bool:
        """Say whether it is a single Redis without TLS; everything else is the driver's business."""
        return source.mode == "single" and source.url.startswith(("unix://", "redis://"))

    async def send(self, commands: Sequence[Command]) -> list[object]:
        """Send commands in one round trip and return their answers: text, whole numbers, lists, None.

        A connection that was kept and is found dead is made anew, once, and the commands are sent again, as the driver
        does: Redis ended it while it was idle, or restarted.

        Raises
        ------
        UnavailableError
            If Redis cannot be reached, is too slow or refuses one of them.
        """
        if not commands:
            return []
        try:
            async with asyncio.timeout(self._source.timeout_seconds), self._turn:
                answers = await self._exchange(commands)
                for position, command in enumerate(commands):
                    if command.script is not None and _is_unknown_script(answers[position]):
                        answers[position : position + 1] = await self._exchange([Command(command.with_text)])
        except (OSError, TimeoutError, EOFError, ValueError, asyncio.LimitOverrunError) as exc:
            raise UnavailableError(
                f"Redis cannot be reached ({type(exc).__name__})",
                hint="is the server up? REDIS_URL says where it is looked for",
            ) from exc
        for answer in answers:
            _raise_refusal(answer)
        return [
            _as_mapping(answer) if command.words[0] == "HGETALL" else answer
            for command, answer in zip(commands, answers, strict=True)
        ]

    async def run(self, script: Script, *, keys: Sequence[str], args: Sequence[Argument]) -> object:
        """Run a script and return its answer; raises what `send` does."""
        return (await self.send([script.call(keys=keys, args=args)]))[0]

    async def servers(self) -> Sequence[SendsCommands]:
        """Return itself: there is one server."""
        return [self]

    async def close(self) -> None:
        """Close the connection; the next `send` makes a new one."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with suppress(OSError):
                await streams[1].wait_closed()

    async def _exchange(self, commands: Sequence[Command]) -> list[object]:
        question = pack(commands)
        try:
            reader, line = await self._ask(question)
            return [await _read(reader, line), *[await _read(reader) for _ in commands[1:]]]
        except BaseException:
            # Answers that nobody read would be taken for those of the next question.
            self._abort()
            raise

    async def _ask(self, question: bytes) -> tuple[asyncio.StreamReader, bytes]:
        """Send a question, and return the first line of what is answered with what brings the rest."""
        if self._streams is not None:
            reader, writer = self._streams
            try:
                writer.write(question)
                return reader, await _line(reader)
            except ConnectionError:
                self._abort()
            except asyncio.IncompleteReadError as exc:
                if exc.partial:
                    raise
                self._abort()
        reader, writer = self._streams = await self._connect()
        writer.write(question)
        return reader, await _line(reader)

    def _abort(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = urlsplit(self._source.url)
        if place.scheme == "unix":
            reader, writer = await asyncio.open_unix_connection(unquote(place.path))
            database = parse_qs(place.query).get("db", ["0"])[0]
        else:
            reader, writer = await asyncio.open_connection(place.hostname or "localhost", place.port or _PORT)
            database = place.path.strip("/") or "0"
        try:
            greeting = _greeting(self._source, place.username, place.password, database)
            writer.write(pack(greeting))
            for _ in greeting:
                answer = await _read(reader)
                _raise_refusal(answer)
        except BaseException:
            writer.transport.abort()
            raise
        return reader, writer


class _Refusal(str):
    """What Redis answers to a command that it does not carry out."""

    __slots__ = ()


def _is_unknown_script(answer: object) -> bool:
    return isinstance(answer, _Refusal) and answer.startswith("NOSCRIPT")


def _greeting(source: RedisSource, username: str | None, password: str | None, database: str) -> list[Command]:
    user = source.username or (unquote(username) if username else None)
    secret = source.password or (unquote(password) if password else None)
    commands = []
    if secret is not None:
        commands.append(Command(("AUTH", user, secret) if user else ("AUTH", secret)))
    if database != "0":
        commands.append(Command(("SELECT", database)))
    return commands


async def _line(reader: asyncio.StreamReader) -> bytes:
    return (await reader.readuntil(b"\r\n"))[:-2]


async def _read(reader: asyncio.StreamReader, line: bytes | None = None, *, depth: int = 0) -> object:
    """Return an answer, of which the first line may have been read already."""
    if line is None:
        line = await _line(reader)
    kind, rest = line[:1], line[1:]
    match kind:
        case b"+":
            return rest.decode()
        case b"-":
            return _Refusal(rest.decode())
        case b":":
            return int(rest)
        case b"$":
            length = int(rest)
            return None if length < 0 else (await reader.readexactly(length + 2))[:-2].decode(errors="replace")
        case b"*" if depth < _DEEPEST:
            length = int(rest)
            return None if length < 0 else [await _read(reader, depth=depth + 1) for _ in range(length)]
    raise ValueError("this is not how Redis answers")


def _as_mapping(answer: object) -> object:
    return dict(zip(answer[::2], answer[1::2], strict=True)) if isinstance(answer, list) else answer


def _raise_refusal(answer: object) -> None:
    if isinstance(answer, list):
        for part in answer:
            _raise_refusal(part)
    if isinstance(answer, _Refusal):
        # Only the kind: the rest may repeat the command, and with it what a customer wrote.
        raise UnavailableError(
            f"Redis refused a command ({answer.partition(' ')[0]})",
            hint="see its log, its memory and its access rules",
        )
