"""What the sandbox told an account's connection and nobody has read yet."""

import asyncio
from collections import deque
from typing import Final

from nadia.telegram.errors import AccountRevokedError, GatewayDisconnectedError
from nadia.telegram.sandbox.wire import ACCOUNT_EVENT, CustomerTyping, News, SessionClosed

_TYPING_LIMIT: Final = 1_000
"""Typing signals that may wait for a slow reader; more are dropped, as nobody acts on old ones."""


class Inbox:
    """A queue of bounded length: news only says how far there is something to fetch, so the newest stands for all."""

    def __init__(self) -> None:
        self._entries: deque[News | CustomerTyping] = deque()
        self._changed = asyncio.Event()
        self._lost = False
        self._revoked: str | None = None

    def put(self, event: object) -> None:
        """Take in an event as it came over the connection."""
        match ACCOUNT_EVENT.validate_python(event):
            case SessionClosed(code=code):
                self._revoked = code
            case News() as news:
                self._put_news(news)
            case CustomerTyping() as typing:
                if len(self._entries) < _TYPING_LIMIT:
                    self._entries.append(typing)
        self._changed.set()

    def _put_news(self, news: News) -> None:
        last = self._entries[-1] if self._entries else None
        if not isinstance(last, News):
            self._entries.append(news)
        elif last.pts < news.pts:  # what the log-in answered may come after news that overtook it
            self._entries[-1] = news

    def end(self) -> None:
        """Take note that the connection is gone."""
        self._lost = True
        self._changed.set()

    def check(self) -> None:
        """Raise what ended the connection, if anything did.

        Raises
        ------
        AccountRevokedError
            If the session was taken away.
        GatewayDisconnectedError
            If the link was lost or closed.
        """
        if self._revoked is not None:
            raise AccountRevokedError(self._revoked)
        if self._lost:
            raise GatewayDisconnectedError("the connection to the sandbox is closed")

    async def next(self) -> News | CustomerTyping:
        """Wait for the next entry; raises as ``check`` does."""
        while not self._entries:
            self.check()
            self._changed.clear()
            await self._changed.wait()
        return self._entries.popleft()
