"""A Telegram account whose chats stand in a test; only reading them is of interest."""

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime, timedelta

from nadia.telegram.gateway import Dialog, IncomingMessage, Peer, SentMessage, State, Update

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def message(
    message_id: int,
    text: str = "Hello",
    *,
    chat_id: int = 7,
    outgoing: bool = False,
    edited_at: datetime | None = None,
    sent_at: datetime | None = None,
) -> IncomingMessage:
    """A message of a chat, sent so many seconds after `START` as its id says."""
    return IncomingMessage(
        chat_id=chat_id,
        message_id=message_id,
        peer=Peer(user_id=chat_id, name=f"Customer {chat_id}"),
        text=text,
        sent_at=sent_at or START + timedelta(seconds=message_id),
        outgoing=outgoing,
        edited_at=edited_at,
    )


class ScriptedTelegram:
    """Answers like a gateway, a hundred dialogs to a request; ``before`` is called with each request's name.

    Pages of a history are no longer than ``longest_page``: Telegram's are short where a notice was left out of them.
    """

    account_id = "scripted"
    network = "sandbox"
    longest_page = 100

    def __init__(
        self, messages: Iterable[IncomingMessage] = (), *, before: Callable[[str], None] | None = None
    ) -> None:
        self.chats: dict[int, dict[int, IncomingMessage]] = {}
        self.before = before
        self.requests: list[str] = []
        for each in messages:
            self.put(each)

    def put(self, new: IncomingMessage) -> None:
        chat = self.chats.setdefault(new.chat_id, {})
        chat[new.message_id] = new

    async def connect(self, state: State | None) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    def updates(self) -> AsyncIterator[Update]:
        raise NotImplementedError

    async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
        raise NotImplementedError

    async def set_typing(self, *, chat_id: int, active: bool = True) -> None:
        raise NotImplementedError

    async def history(
        self, *, chat_id: int, after_id: int | None = None, before_id: int | None = None, limit: int = 100
    ) -> list[IncomingMessage]:
        self._request("history")
        size = min(limit, self.longest_page)
        chat = sorted(self.chats.get(chat_id, {}).values(), key=lambda each: each.message_id)
        found = [
            each
            for each in chat
            if (after_id is None or each.message_id > after_id) and (before_id is None or each.message_id < before_id)
        ]
        return found[-size:] if after_id is None else found[:size]

    async def dialogs(self) -> AsyncIterator[Dialog]:
        below: int | None = None
        while True:
            self._request("dialogs")
            tops = sorted((max(chat) for chat in self.chats.values()), reverse=True)
            page = [top for top in tops if below is None or top < below][:100]
            for top in page:
                (newest,) = [chat[top] for chat in self.chats.values() if top in chat]
                yield Dialog(newest.chat_id, newest.peer, top, newest.sent_at)
            if len(page) < 100:
                return
            below = page[-1]

    def _request(self, name: str) -> None:
        self.requests.append(name)
        if self.before is not None:
            self.before(name)
