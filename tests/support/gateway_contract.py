"""What every gateway promises. A network under test supplies the other side; see `Network`."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

import pytest

from nadia.errors import ConflictError
from nadia.telegram.errors import (
    AccountRevokedError,
    FloodWaitError,
    GatewayDisconnectedError,
    PeerFloodError,
    RandomIdDuplicateError,
    SendRefusedError,
    SendUncertainError,
)
from nadia.telegram.gateway import (
    Gateway,
    IncomingMessage,
    MessageEdited,
    MessageKind,
    MessagesDeleted,
    Peer,
    State,
    TypingStarted,
    Update,
    UpdatesLost,
)
from support.eventually import eventually

SendFault = Literal["answer lost", "cut before storing", "flood wait of 7 s", "peer flood"]

FILES = (MessageKind.PHOTO, MessageKind.VOICE, MessageKind.VIDEO, MessageKind.STICKER, MessageKind.DOCUMENT)
"""What can be found again by its reference."""


class Network(Protocol):
    """The far side of a gateway: customers, the operator's phone, and what goes wrong."""

    def gateway(self) -> Gateway:
        """A new gateway, not connected, to the one account under test."""

    async def beginning(self) -> State | None:
        """A state from which everything is delivered that happens from now on; None: of a new session, everything."""

    async def add_customer(self, name: str) -> int: ...
    async def write(
        self, chat_id: int, text: str, *, kind: MessageKind = MessageKind.TEXT, reply_to: int | None = None
    ) -> int: ...
    async def notice(self, chat_id: int) -> None:
        """Leave something in the chat that is no message, such as a call that nobody took."""

    async def show_typing(self, chat_id: int) -> None: ...
    async def edit(self, chat_id: int, message_id: int, text: str) -> None: ...
    async def delete(self, chat_id: int, message_ids: list[int]) -> None: ...
    async def block(self, chat_id: int) -> None: ...
    async def post_from_phone(self, chat_id: int, text: str) -> int: ...
    async def texts_of(self, chat_id: int) -> list[str]:
        """The chat as the customer sees it, from its start."""

    def desk_typing_seen(self, chat_id: int) -> list[bool]:
        """The typing states that the customer was shown so far."""

    async def next_send_meets(self, fault: SendFault) -> None: ...
    async def forget_updates(self) -> None:
        """Let the histories alone know what happened until now."""

    async def cut(self) -> None:
        """Break the account's connection."""

    async def revoke(self) -> None: ...
    async def restore(self) -> None: ...


async def take(updates: AsyncIterator[Update], count: int) -> list[Update]:
    """The next updates that tell of something; fails the test rather than wait for ever."""
    taken: list[Update] = []
    async with asyncio.timeout(15):
        while len(taken) < count:
            update = await anext(updates)
            if update.event is not None:
                taken.append(update)
    return taken


async def take_texts(updates: AsyncIterator[Update], count: int) -> list[str]:
    return [u.event.text for u in await take(updates, count) if isinstance(u.event, IncomingMessage)]


async def read_to_the_end(updates: AsyncIterator[Update]) -> list[Update]:
    async with asyncio.timeout(15):
        return [update async for update in updates]


async def _paged(gateway: Gateway, chat_id: int, *, limit: int, upwards: bool) -> AsyncIterator[IncomingMessage]:
    """A chat read page by page, until one is empty."""
    last: int | None = None
    while page := await gateway.history(
        chat_id=chat_id, after_id=last or 0 if upwards else None, before_id=None if upwards else last, limit=limit
    ):
        for message in page if upwards else reversed(page):
            yield message
            last = message.message_id


class GatewayContract:
    """Inherit it and give it a fixture `network`; the gateways it makes are closed by that fixture."""

    @pytest.fixture
    async def gateway(self, network: Network) -> AsyncIterator[Gateway]:
        gateway = network.gateway()
        await gateway.connect(await network.beginning())
        yield gateway
        await gateway.close()

    # receiving

    async def test_a_customers_message_arrives_as_it_was_written(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana <b>&amp; \u202eRTL")
        text = "  héllo 👋🏽 \u200b\u202e<script>alert(1)</script>\nsecond line \u2028 "
        message_id = await network.write(chat, text)

        (update,) = await take(gateway.updates(), 1)

        message = update.event
        assert isinstance(message, IncomingMessage)
        assert (message.chat_id, message.message_id, message.text) == (chat, message_id, text)
        assert message.peer == Peer(user_id=chat, name="Ana <b>&amp; \u202eRTL")
        assert (message.kind, message.reply_to, message.outgoing, message.edited_at) == (
            MessageKind.TEXT,
            None,
            False,
            None,
        )
        assert message.sent_at.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - message.sent_at) < timedelta(minutes=1)
        assert update.state is not None

    async def test_kind_and_reply_are_told(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        first = await network.write(chat, "look")
        await network.write(chat, "", kind=MessageKind.PHOTO, reply_to=first)

        _, update = await take(gateway.updates(), 2)

        assert isinstance(update.event, IncomingMessage)
        assert (update.event.kind, update.event.reply_to, update.event.text) == (MessageKind.PHOTO, first, "")

    @pytest.mark.parametrize("kind", MessageKind)
    async def test_every_kind_arrives_as_what_it_is(
        self, network: Network, gateway: Gateway, kind: MessageKind
    ) -> None:
        chat = await network.add_customer("Ana")
        message_id = await network.write(chat, "see above", kind=kind)

        (update,) = await take(gateway.updates(), 1)

        message = update.event
        assert isinstance(message, IncomingMessage)
        assert (message.message_id, message.kind, message.text) == (message_id, kind, "see above")
        if kind in FILES:
            assert message.media is not None
            assert message.media.reference
        assert message in await gateway.history(chat_id=chat)

    async def test_typing_arrives_in_its_place_and_leaves_no_state(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        await network.write(chat, "one")
        await network.show_typing(chat)
        await network.write(chat, "two")

        one, typing, two = await take(gateway.updates(), 3)

        assert isinstance(one.event, IncomingMessage)
        assert typing == Update(TypingStarted(chat_id=chat, user_id=chat), None)
        assert isinstance(two.event, IncomingMessage)
        assert two.event.text == "two"

    async def test_edits_and_deletions_arrive_in_order(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        first = await network.write(chat, "Tuseday")
        second = await network.write(chat, "oops")
        await network.edit(chat, first, "Tuesday")
        await network.delete(chat, [first, second])

        updates = await take(gateway.updates(), 4)

        edited, deleted = updates[2].event, updates[3].event
        assert isinstance(edited, MessageEdited)
        assert (edited.chat_id, edited.message_id, edited.text) == (chat, first, "Tuesday")
        assert edited.edited_at.utcoffset() == timedelta(0)
        assert deleted == MessagesDeleted(message_ids=(first, second), chat_id=None)
        assert None not in [u.state for u in updates]

    async def test_what_the_operators_phone_sends_arrives_as_outgoing(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        message_id = await network.post_from_phone(chat, "I'll call you")

        (update,) = await take(gateway.updates(), 1)

        assert isinstance(update.event, IncomingMessage)
        assert update.event.outgoing
        assert (update.event.message_id, update.event.chat_id, update.event.peer.user_id) == (message_id, chat, chat)

    async def test_five_hundred_messages_arrive_once_and_in_order(self, network: Network, gateway: Gateway) -> None:
        chats = [await network.add_customer(f"customer {i}") for i in range(10)]

        async def write_fifty(chat: int) -> None:
            for i in range(50):
                await network.write(chat, str(i))

        writing = asyncio.gather(*(write_fifty(chat) for chat in chats))
        events = [u.event for u in await take(gateway.updates(), 500)]
        await writing

        messages = [e for e in events if isinstance(e, IncomingMessage)]
        ids = [m.message_id for m in messages]
        assert ids == sorted(set(ids))
        for chat in chats:
            assert [m.text for m in messages if m.chat_id == chat] == [str(i) for i in range(50)]

    # resuming

    async def test_what_was_not_committed_and_what_came_meanwhile_is_delivered_after_reconnecting(
        self, network: Network, gateway: Gateway
    ) -> None:
        chat = await network.add_customer("Ana")
        ids = [await network.write(chat, f"before {i}") for i in range(5)]
        committed = (await take(gateway.updates(), 2))[-1].state
        await network.cut()
        for i in range(130):
            await network.write(chat, f"away {i}")
        await network.edit(chat, ids[2], "edited while away")
        await network.delete(chat, [ids[0]])

        await gateway.connect(committed)
        updates = await take(gateway.updates(), 3 + 130 + 2)

        texts = [u.event.text for u in updates if isinstance(u.event, IncomingMessage)]
        assert texts[3:] == [f"away {i}" for i in range(130)]
        assert [u.event.message_id for u in updates[:3] if isinstance(u.event, IncomingMessage)] == ids[2:]
        assert isinstance(updates[-2].event, MessageEdited)
        assert updates[-1].event == MessagesDeleted(message_ids=(ids[0],), chat_id=None)

    async def test_what_only_the_histories_know_is_told_as_lost(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        await network.write(chat, "one")
        (one,) = await take(gateway.updates(), 1)
        await gateway.close()
        for i in range(5):
            await network.write(chat, f"forgotten {i}")
        await network.forget_updates()

        await gateway.connect(one.state)
        updates = gateway.updates()
        (lost,) = await take(updates, 1)
        await network.write(chat, "two")

        assert isinstance(lost.event, UpdatesLost)
        assert await take_texts(updates, 1) == ["two"]
        await gateway.connect(lost.state)
        assert await take_texts(gateway.updates(), 1) == ["two"]
        assert len(await gateway.history(chat_id=chat)) == 7

    async def test_typing_of_before_is_not_replayed(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        await network.write(chat, "one")
        updates = gateway.updates()
        (one,) = await take(updates, 1)
        await network.show_typing(chat)
        await gateway.connect(one.state)
        await network.write(chat, "two")

        assert await take_texts(gateway.updates(), 1) == ["two"]

    async def test_a_cut_link_ends_the_updates_and_everything_else(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        reading = asyncio.ensure_future(read_to_the_end(gateway.updates()))
        await network.write(chat, "one")
        await network.cut()

        with pytest.raises(GatewayDisconnectedError):
            await reading
        with pytest.raises(GatewayDisconnectedError):
            await gateway.send(chat_id=chat, text="hello", random_id=1)
        with pytest.raises(GatewayDisconnectedError):
            await gateway.set_typing(chat_id=chat)
        with pytest.raises(GatewayDisconnectedError):
            await gateway.history(chat_id=chat)
        assert await network.texts_of(chat) == ["one"]

    async def test_closing_ends_the_updates(self, gateway: Gateway) -> None:
        reading = asyncio.ensure_future(read_to_the_end(gateway.updates()))
        await asyncio.sleep(0)
        await gateway.close()
        await gateway.close()

        with pytest.raises(GatewayDisconnectedError):
            await reading

    async def test_nothing_is_sent_without_a_connection(self, network: Network) -> None:
        chat = await network.add_customer("Ana")
        gateway = network.gateway()

        with pytest.raises(GatewayDisconnectedError):
            await gateway.send(chat_id=chat, text="hello", random_id=1)
        with pytest.raises(GatewayDisconnectedError):
            await take(gateway.updates(), 1)
        assert await network.texts_of(chat) == []

    async def test_a_reader_that_failed_has_to_resume_from_a_stored_state(
        self, network: Network, gateway: Gateway
    ) -> None:
        """A second reader would go on behind the update that the first one could not commit."""
        chat = await network.add_customer("Ana")
        await network.write(chat, "one")
        await take(gateway.updates(), 1)

        with pytest.raises(ConflictError):
            await take(gateway.updates(), 1)

    # sending

    async def test_a_message_reaches_the_customer_to_the_letter(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        text = "  Dear Ana,\n\n👋🏽 <b>not bold</b> **nor this** \u200f\n "
        sent = await gateway.send(chat_id=chat, text=text, random_id=-(2**63))

        assert await network.texts_of(chat) == [text]
        (found,) = await gateway.history(chat_id=chat)
        assert (found.message_id, found.sent_at, found.outgoing) == (sent.message_id, sent.sent_at, True)

    async def test_own_messages_are_not_echoed(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        await gateway.send(chat_id=chat, text="hello", random_id=1)
        await network.write(chat, "hi")

        assert await take_texts(gateway.updates(), 1) == ["hi"]

    async def test_sending_does_not_wait_for_the_reader_of_updates(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        updates = gateway.updates()
        waiting = asyncio.ensure_future(take(updates, 1))
        sent = await asyncio.gather(
            *(gateway.send(chat_id=chat, text=f"{i}", random_id=i + 1) for i in range(50)),
        )
        assert not waiting.done()
        await network.write(chat, "thanks")
        await waiting

        assert len({s.message_id for s in sent}) == 50
        assert await network.texts_of(chat) == [*map(str, range(50)), "thanks"]

    async def test_the_same_random_id_twice_is_one_message(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        await gateway.send(chat_id=chat, text="hello", random_id=77)

        with pytest.raises(RandomIdDuplicateError):
            await gateway.send(chat_id=chat, text="hello", random_id=77)

        assert await network.texts_of(chat) == ["hello"]

    async def test_a_lost_answer_is_uncertain_and_the_repeated_send_tells_that_it_went_out(
        self, network: Network, gateway: Gateway
    ) -> None:
        chat = await network.add_customer("Ana")
        before = await gateway.send(chat_id=chat, text="before", random_id=1)
        await network.next_send_meets("answer lost")

        with pytest.raises(SendUncertainError):
            await gateway.send(chat_id=chat, text="hello", random_id=2)
        await gateway.connect(None)
        with pytest.raises(RandomIdDuplicateError):
            await gateway.send(chat_id=chat, text="hello", random_id=2)

        (found,) = await gateway.history(chat_id=chat, after_id=before.message_id)
        assert (found.text, found.outgoing) == ("hello", True)
        assert await network.texts_of(chat) == ["before", "hello"]

    async def test_a_request_cut_off_on_its_way_is_uncertain_and_can_be_repeated(
        self, network: Network, gateway: Gateway
    ) -> None:
        chat = await network.add_customer("Ana")
        await network.next_send_meets("cut before storing")

        with pytest.raises(SendUncertainError):
            await gateway.send(chat_id=chat, text="hello", random_id=2)
        assert await network.texts_of(chat) == []
        await gateway.connect(None)
        await gateway.send(chat_id=chat, text="hello", random_id=2)

        assert await network.texts_of(chat) == ["hello"]

    async def test_a_flood_wait_names_its_length_and_keeps_the_link(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        await network.next_send_meets("flood wait of 7 s")

        with pytest.raises(FloodWaitError) as caught:
            await gateway.send(chat_id=chat, text="hello", random_id=5)
        assert caught.value.seconds == 7
        await gateway.send(chat_id=chat, text="hello", random_id=5)

        assert await network.texts_of(chat) == ["hello"]

    async def test_a_peer_flood_stores_nothing(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        await network.next_send_meets("peer flood")

        with pytest.raises(PeerFloodError):
            await gateway.send(chat_id=chat, text="hello", random_id=5)
        assert await network.texts_of(chat) == []

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("x" * 4097, "MESSAGE_TOO_LONG"),
            ("👋" * 2049, "MESSAGE_TOO_LONG"),
            ("x" * 2_000_000, "MESSAGE_TOO_LONG"),
            (" \n ", "MESSAGE_EMPTY"),
        ],
        ids=["4097 letters", "2049 emoji of two units", "2 MB", "only spaces"],
    )
    async def test_a_text_that_telegram_cannot_take_is_refused_for_good(
        self, network: Network, gateway: Gateway, text: str, reason: str
    ) -> None:
        chat = await network.add_customer("Ana")

        with pytest.raises(SendRefusedError) as caught:
            await gateway.send(chat_id=chat, text=text, random_id=5)
        assert caught.value.reason == reason
        await gateway.send(chat_id=chat, text="👋" * 2048, random_id=5)

        assert await network.texts_of(chat) == ["👋" * 2048]

    async def test_a_customer_who_blocked_the_account_is_not_reached(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        await network.write(chat, "leave me alone")
        await network.block(chat)

        with pytest.raises(SendRefusedError) as caught:
            await gateway.send(chat_id=chat, text="hello", random_id=5)
        assert caught.value.reason == "USER_IS_BLOCKED"
        assert await network.texts_of(chat) == ["leave me alone"]

    async def test_an_unknown_chat_is_refused(self, gateway: Gateway) -> None:
        with pytest.raises(SendRefusedError) as caught:
            await gateway.send(chat_id=1, text="hello", random_id=5)
        assert caught.value.reason in ("PEER_ID_INVALID", "PEER_UNRESOLVED")

    async def test_the_customer_sees_the_desk_type_and_stop(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        await gateway.set_typing(chat_id=chat)
        await gateway.set_typing(chat_id=chat, active=False)

        await eventually(lambda: network.desk_typing_seen(chat) == [True, False])

    # reading back

    async def test_a_history_is_paged_in_both_directions(self, network: Network, gateway: Gateway) -> None:
        chat, other = await network.add_customer("Ana"), await network.add_customer("Ben")
        for i in range(125):
            await network.write(chat, f"{i}")
            await network.write(other, "elsewhere")
        everything = [f"{i}" for i in range(125)]

        forwards: list[IncomingMessage] = []
        while page := await gateway.history(
            chat_id=chat, after_id=forwards[-1].message_id if forwards else 0, limit=50
        ):
            forwards += page
        backwards: list[IncomingMessage] = []
        while page := await gateway.history(
            chat_id=chat, before_id=backwards[0].message_id if backwards else None, limit=50
        ):
            backwards = page + backwards
        middle = await gateway.history(chat_id=chat, after_id=forwards[9].message_id, before_id=forwards[12].message_id)

        assert [m.text for m in forwards] == everything
        assert backwards == forwards
        assert middle == forwards[10:12]
        assert [m.text for m in await gateway.history(chat_id=chat, limit=3)] == everything[-3:]

    async def test_only_an_empty_page_is_the_end_of_a_history(self, network: Network, gateway: Gateway) -> None:
        """A page with a notice in it is short, and one of nothing else must not pass for the end."""
        chat = await network.add_customer("Ana")
        for i in range(12):
            await network.write(chat, f"{i}")
            if i % 4 == 1:
                await network.notice(chat)
        for _ in range(11):
            await network.notice(chat)
        await network.write(chat, "last")

        forwards = [m async for m in _paged(gateway, chat, limit=5, upwards=True)]
        backwards = [m async for m in _paged(gateway, chat, limit=5, upwards=False)]

        assert [m.text for m in forwards] == [*map(str, range(12)), "last"]
        assert backwards == forwards[::-1]

    async def test_a_history_shows_edits_and_no_deleted_messages(self, network: Network, gateway: Gateway) -> None:
        chat = await network.add_customer("Ana")
        first, second = await network.write(chat, "one"), await network.write(chat, "two")
        await network.edit(chat, first, "uno")
        await network.delete(chat, [second])

        (found,) = await gateway.history(chat_id=chat)
        assert (found.text, found.edited_at is not None) == ("uno", True)

    async def test_dialogs_are_all_chats_with_the_newest_message_first(
        self, network: Network, gateway: Gateway
    ) -> None:
        chats = [await network.add_customer(f"customer {i}") for i in range(105)]
        await network.add_customer("never wrote")
        top = {chat: await network.write(chat, "hi") for chat in chats}
        top[chats[3]] = await network.write(chats[3], "again")

        dialogs = [dialog async for dialog in gateway.dialogs()]

        assert {d.chat_id: d.top_message_id for d in dialogs} == top
        assert len(dialogs) == 105
        assert all(a.top_message_id > b.top_message_id for a, b in itertools.pairwise(dialogs))
        assert (dialogs[0].chat_id, dialogs[0].peer.name) == (chats[3], "customer 3")
        (newest,) = await gateway.history(chat_id=chats[3], limit=1)
        assert (newest.message_id, newest.sent_at) == (dialogs[0].top_message_id, dialogs[0].top_sent_at)

    # the session

    async def test_a_revoked_session_is_told_everywhere_until_it_is_restored(
        self, network: Network, gateway: Gateway
    ) -> None:
        chat, beginning = await network.add_customer("Ana"), await network.beginning()
        reading = asyncio.ensure_future(read_to_the_end(gateway.updates()))
        await asyncio.sleep(0)
        await network.revoke()

        with pytest.raises(AccountRevokedError):
            await reading
        with pytest.raises(AccountRevokedError):
            await gateway.send(chat_id=chat, text="hello", random_id=1)
        with pytest.raises(AccountRevokedError):
            await gateway.connect(beginning)
        assert await network.texts_of(chat) == []

        await network.write(chat, "anyone there?")
        await network.restore()
        await gateway.connect(beginning)
        assert await take_texts(gateway.updates(), 1) == ["anyone there?"]
