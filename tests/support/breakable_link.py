"""A wire between NADIA and a server that a test can cut, stall and mend: the server itself stays up."""

import asyncio
from contextlib import suppress
from pathlib import Path


class BreakableLink:
    """Forwards a unix socket to another.

    Parameters
    ----------
    listens : Path
        Where NADIA connects.
    leads_to : Path
        The server's own socket.
    """

    def __init__(self, *, listens: Path, leads_to: Path) -> None:
        self._listens = listens
        self._leads_to = leads_to
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def mend(self) -> None:
        """Accept connections again, and let all flow that was held back."""
        self._flowing.set()
        if self._server is not None:
            return
        self._listens.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._server = await asyncio.start_unix_server(self._connect, self._listens)

    async def cut(self) -> None:
        """Drop every connection and refuse new ones."""
        if self._server is None:
            return
        self._server.close()
        self._listens.unlink(missing_ok=True)
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)
        self._server = None

    def stall(self) -> None:
        """Keep every connection, accept new ones, and let nothing through: a server that hangs."""
        self._flowing.clear()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(self._leads_to)
            ends = [
                asyncio.ensure_future(self._pump(reader, far_writer)),
                asyncio.ensure_future(self._pump(far_reader, writer)),
            ]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
                far_writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._pipes.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65_536):
                await self._flowing.wait()
                writer.write(chunk)
                await writer.drain()
