"""One connection of an account to Telegram: many requests at a time, and one end, told to everyone who waits."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import structlog
from telethon.errors import RPCError
from telethon.tl import TLRequest

from nadia.errors import NadiaError
from nadia.telegram.errors import AccountRevokedError, GatewayDisconnectedError, GatewayError
from nadia.telegram.gateway import Update
from nadia.telegram.telethon.errors import translate, unanswered
from nadia.telegram.telethon.people import People
from nadia.telegram.telethon.updates import Feed, ReadingClient

log = structlog.get_logger(__name__)


class Link:
    """A connection, not open yet.

    Parameters
    ----------
    client : ReadingClient
        Speaks the protocol; reads into ``feed``.
    feed : Feed
        Where updates come from.
    people : People
        Whom this connection has heard of.
    timeout : float
        Longest wait for an answer, in seconds. A server that takes longer counts as gone.
    """

    def __init__(self, *, client: ReadingClient, feed: Feed, people: People, timeout: float) -> None:
        self.people = people
        self.is_read = False
        self._client = client
        self._feed = feed
        self._timeout = timeout
        self._ended: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect; raises what a gateway's ``connect`` does."""
        try:
            await self._outcome(self._client.connect(), sending=False)
        finally:
            self._watching = asyncio.create_task(self._watch(), name="telegram-link")

    async def ask(self, request: TLRequest, *, sending: bool = False) -> Any:
        """Make a request and return the answer.

        Parameters
        ----------
        request : TLRequest
            One of Telethon's.
        sending : bool
            Whether it is to store a message.

        Raises
        ------
        GatewayDisconnectedError
            If the link was gone before; or broke meanwhile, unless this was ``sending``.
        SendUncertainError
            If the link broke while ``sending``.
        GatewayError
            As Telegram answered.
        """
        self.check()
        return await self._outcome(self._client(request), sending=sending)

    def check(self) -> None:
        """Raise an error if the link has ended.

        Raises
        ------
        AccountRevokedError
            If the session is no longer valid.
        GatewayDisconnectedError
            Otherwise: what ended the reading, such as a flood wait, says nothing of what is asked here.
        """
        if not self._ended.done():
            return
        error = self._ended.result()
        if isinstance(error, AccountRevokedError | GatewayDisconnectedError):
            raise error.with_traceback(None)
        raise GatewayDisconnectedError("the connection to Telegram was given up") from error

    def updates(self) -> AsyncIterator[Update]:
        """Return what comes in."""
        return self._feed.read()

    async def close(self) -> None:
        """Hang up. Safe to call more than once."""
        self._end(GatewayDisconnectedError("the connection to Telegram is closed"))
        await self._client.disconnect()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    async def _outcome(self, work: Coroutine[Any, Any, Any], *, sending: bool) -> Any:
        """Wait for something that Telethon does, at most as long as the link lasts.

        In a task of its own: when Telethon hangs up, it cancels some of those who wait and forgets others.
        """
        task = asyncio.ensure_future(work)
        task.add_done_callback(_look_at)
        try:
            await asyncio.wait({task, self._ended}, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            timed_out = not task.done() and not self._ended.done()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if timed_out:
            self._end(GatewayDisconnectedError(f"Telegram did not answer within {self._timeout:g} s"))
            raise unanswered(f"Telegram did not answer within {self._timeout:g} s", sending=sending)
        try:
            return task.result()
        except asyncio.CancelledError as exc:
            raise translate(None, sending=sending) from exc
        except Exception as exc:
            error = translate(exc, sending=sending)
            if isinstance(error, AccountRevokedError):
                self._end(error)
            if error is exc:
                raise
            # Others quote what they could not read: customers' words.
            raise error from (exc if isinstance(exc, RPCError | OSError) else None)

    async def _watch(self) -> None:
        """Wait for the end that Telethon finds."""
        cause: Exception | None = None
        try:
            await self._client.disconnected
        except Exception as exc:
            cause = exc
        self._end(translate(self._client.why_it_ended or cause))

    def _end(self, error: Exception) -> None:
        if self._ended.done():
            return
        if not isinstance(error, NadiaError):  # a mistake, ours or Telethon's; its text may quote customers
            kind = type(error).__name__
            log.error("telegram.link.failed", reason=kind)
            error = GatewayError(f"reading what Telegram sent failed ({kind})", hint="see the log; report it")
        self._ended.set_result(error)
        self._feed.end(error)


def _look_at(task: asyncio.Task[Any]) -> None:
    """Take note of an error that nobody waits for any more; asyncio would print it."""
    if not task.cancelled():
        task.exception()
