"""A local server that speaks OpenAI's chat completions over HTTP/1.1, and misbehaves as its script says."""

import asyncio
import contextlib
import json
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """A request as it came over the wire."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, object]


def http(status: int, body: bytes | str, *, headers: Mapping[str, str] | None = None) -> Answer:
    """Any HTTP answer."""
    payload = body.encode() if isinstance(body, str) else body

    async def send(writer: asyncio.StreamWriter) -> None:
        head = {"Content-Type": "application/json", "Content-Length": str(len(payload)), "Connection": "close"}
        lines = [
            f"HTTP/1.1 {status} Scripted",
            *(f"{name}: {value}" for name, value in (head | dict(headers or {})).items()),
        ]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + payload)
        await writer.drain()

    return send


def completion(
    text: str | None,
    *,
    finish_reason: str = "stop",
    tokens: tuple[int, int] | None = (100, 20),
    refusal: str | None = None,
) -> Answer:
    """A proper chat completion."""
    answer: dict[str, object] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "scripted",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": refusal},
                "finish_reason": finish_reason,
            }
        ],
    }
    if tokens is not None:
        answer["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    return http(200, json.dumps(answer))


def failure(
    status: int, message: str = "scripted failure", *, code: str | None = None, retry_after: str | None = None
) -> Answer:
    """An error in OpenAI's form."""
    body = json.dumps({"error": {"message": message, "type": "scripted", "param": None, "code": code}})
    return http(status, body, headers={"Retry-After": retry_after} if retry_after is not None else None)


async def hang(writer: asyncio.StreamWriter) -> None:
    """Accept the request and never answer."""
    await asyncio.Event().wait()


async def cut(writer: asyncio.StreamWriter) -> None:
    """Begin an answer and drop the connection."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"choices": [')
    await writer.drain()


async def huge(writer: asyncio.StreamWriter) -> None:
    """An answer without end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
    while True:
        writer.write(b" " * 65_536)
        await writer.drain()


async def drip(writer: asyncio.StreamWriter) -> None:
    """One byte at a time, each well inside any read time-out."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


class OpenAIServer:
    """Answers requests by its script; the last answer repeats. With a TLS context it speaks HTTPS."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.requests: list[Request] = []
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()
        self._script: deque[Answer] = deque([completion("Hello!")])
        self._handlers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def script(self, *answers: Answer) -> None:
        """Answer so from now on."""
        self._script = deque(answers)

    @property
    def base_url(self) -> str:
        """What a client is pointed at."""
        assert self._server is not None
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)
        try:
            self.requests.append(await _read(reader))
            self.arrived.set()
            answer = self._script.popleft() if len(self._script) > 1 else self._script[0]
            answering = asyncio.ensure_future(answer(writer))
            leaving = asyncio.ensure_future(reader.read())  # returns when the client closes its side
            try:
                await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                answering.cancel()
                leaving.cancel()
                await asyncio.gather(answering, leaving, return_exceptions=True)
        except asyncio.IncompleteReadError:
            pass  # connected and left
        finally:
            self.left.set()
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(head[0].split(" ")[1], headers, json.loads(body))
