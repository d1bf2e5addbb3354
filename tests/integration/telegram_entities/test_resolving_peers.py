"""A peer that an account has met is found without a person's help, and Telegram is asked as little as may be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nadia.embedded.servers import EmbeddedServers
from nadia.errors import UnavailableError
from nadia.postgres.database import Database
from nadia.telegram.entities import (
    CLEANUP_SECONDS,
    MEMORY_SIZE,
    MISS_SECONDS,
    WARM_UP_SECONDS,
    EntityResolver,
    PeerUnresolvedError,
    ResolvedPeer,
)
from nadia.telegram.entity_store import EntityStore
from nadia.telegram.errors import (
    AccountRevokedError,
    FloodWaitError,
    GatewayDisconnectedError,
    GatewayError,
    HistoryUnavailableError,
    SendRefusedError,
    TelegramTroubleError,
)
from nadia.telegram.metrics import ENTITY_LOOKUPS
from nadia.telegram.ownership import Ownerships
from support.breakable_link import BreakableLink
from support.eventually import eventually
from support.servers import cloned_database, short_folder
from support.sleeping import SleepingClock

ACCOUNT = "desk"
_SOCKET = ".s.PGSQL.5432"
ANN = ResolvedPeer(42, -(2**63))
BOB = ResolvedPeer(43, 2**63 - 1)


@dataclass
class Directory:
    """What Telegram knows; counts what it is asked."""

    known: dict[int, int] = field(default_factory=dict)
    chats: list[ResolvedPeer] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    fetched: list[int] = field(default_factory=list)
    walks: int = 0
    broken_off_after: tuple[int, GatewayError] | None = None
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def fetch(self, user_id: int) -> int | None:
        self.fetched.append(user_id)
        await self.may_answer.wait()
        if self.failures:
            raise self.failures.pop(0)
        return self.known.get(user_id)

    async def peers(self) -> AsyncIterator[ResolvedPeer]:
        self.walks += 1
        for number, peer in enumerate(self.chats, 1):
            yield peer
            if self.broken_off_after is not None and number == self.broken_off_after[0]:
                raise self.broken_off_after[1]


@dataclass
class Wired:
    """A database, and the wire to its server."""

    database: Database
    link: BreakableLink

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        await self.link.cut()
        try:
            yield
        finally:
            await self.link.mend()
            async with asyncio.timeout(15):
                while not await self._answers():
                    await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        try:
            async with self.database.connection() as conn:
                await conn.execute("SELECT 1")
        except UnavailableError:
            return False
        return True


@pytest.fixture(scope="module")
async def wired(servers: EmbeddedServers, database_template: None) -> AsyncIterator[Wired]:
    """One database for all tests here: each needs one table of it."""
    past = servers.place.socket_folder
    with short_folder() as through:
        link = BreakableLink(listens=through / _SOCKET, leads_to=past / _SOCKET)
        await link.mend()
        async with cloned_database(servers) as clone:
            database = Database(dsn=clone.app_dsn.replace(quote(str(past), safe=""), quote(str(through), safe="")))
            await database.open()
            ownerships = Ownerships(database=database, holder="t/1/a", lease_seconds=30, grace_seconds=0)
            for account in (ACCOUNT, "other"):
                await ownerships.register(account, "telegram")
            yield Wired(database, link)
            await database.close()
        await link.cut()


@pytest.fixture
async def db(wired: Wired) -> Database:
    async with wired.database.connection() as conn:
        await conn.execute("DELETE FROM telegram_entities")
    return wired.database


@pytest.fixture
def store(db: Database) -> EntityStore:
    return EntityStore(database=db)


@pytest.fixture
async def directory() -> Directory:
    return Directory()


@pytest.fixture
def clock() -> SleepingClock:
    return SleepingClock()


def resolver_on(store: EntityStore, directory: Directory | None, clock: SleepingClock) -> EntityResolver:
    resolver = EntityResolver(account_id=ACCOUNT, store=store, monotonic=clock, sleep=clock.sleep)
    if directory is not None:
        resolver.attach(directory)
    return resolver


@pytest.fixture
def resolver(store: EntityStore, directory: Directory, clock: SleepingClock) -> EntityResolver:
    return resolver_on(store, directory, clock)


def many(count: int, *, first: int = 1_000) -> list[ResolvedPeer]:
    return [ResolvedPeer(user_id, user_id * 7) for user_id in range(first, first + count)]


def counted(result: str) -> float:
    return float(ENTITY_LOOKUPS.labels(result)._value.get())


class TestFinding:
    async def test_whom_an_update_named_is_known_without_a_question(
        self, resolver: EntityResolver, directory: Directory
    ) -> None:
        await resolver.remember([ANN])
        assert await resolver.ensure_entity_resolved(42) == ANN
        assert directory.fetched == []

    async def test_a_restarted_process_knows_whom_the_last_one_met(
        self, resolver: EntityResolver, store: EntityStore, directory: Directory, clock: SleepingClock
    ) -> None:
        await resolver.remember([ANN, BOB])
        successor = resolver_on(store, directory, clock)
        assert [await successor.ensure_entity_resolved(user_id) for user_id in (42, 43)] == [ANN, BOB]
        assert directory.fetched == []

    async def test_an_evicted_peer_is_found_again_on_record(
        self, resolver: EntityResolver, directory: Directory
    ) -> None:
        await resolver.remember([ANN])
        await resolver.remember(many(MEMORY_SIZE))
        before = counted("store")
        assert await resolver.ensure_entity_resolved(42) == ANN
        assert counted("store") == before + 1
        assert directory.fetched == []

    async def test_a_cold_session_asks_telegram_once_and_keeps_the_answer(
        self, resolver: EntityResolver, store: EntityStore, directory: Directory, clock: SleepingClock
    ) -> None:
        directory.known[42] = ANN.access_hash
        assert await resolver.ensure_entity_resolved(42) == ANN
        assert await resolver.ensure_entity_resolved(42) == ANN
        assert await resolver_on(store, directory, clock).ensure_entity_resolved(42) == ANN
        assert directory.fetched == [42]
        assert directory.walks == 0

    async def test_whom_telegram_does_not_tell_may_be_among_the_dialogs(
        self, resolver: EntityResolver, directory: Directory
    ) -> None:
        directory.chats = [*many(250), ANN]
        assert await resolver.ensure_entity_resolved(42) == ANN
        assert directory.walks == 1

    async def test_each_account_has_its_own_hashes(
        self, resolver: EntityResolver, store: EntityStore, clock: SleepingClock
    ) -> None:
        other = EntityResolver(account_id="other", store=store, monotonic=clock, sleep=clock.sleep)
        await resolver.remember([ResolvedPeer(42, 1)])
        await other.remember([ResolvedPeer(42, 2)])
        assert await store.get(ACCOUNT, 42) == 1
        assert await store.get("other", 42) == 2

    async def test_a_new_hash_takes_the_old_ones_place(
        self, resolver: EntityResolver, store: EntityStore, clock: SleepingClock
    ) -> None:
        await resolver.remember([ANN])
        await resolver.remember([ResolvedPeer(42, 5)])
        assert await resolver.ensure_entity_resolved(42) == ResolvedPeer(42, 5)
        assert await resolver_on(store, None, clock).ensure_entity_resolved(42) == ResolvedPeer(42, 5)

    async def test_before_the_first_connection_memory_and_record_answer(
        self, store: EntityStore, clock: SleepingClock
    ) -> None:
        resolver = resolver_on(store, None, clock)
        await store.put(ACCOUNT, {42: ANN.access_hash})
        assert await resolver.ensure_entity_resolved(42) == ANN
        with pytest.raises(GatewayDisconnectedError):
            await resolver.ensure_entity_resolved(43)

    async def test_a_hash_of_zero_is_a_hash(self, resolver: EntityResolver, directory: Directory) -> None:
        directory.known[42] = 0
        assert (await resolver.ensure_entity_resolved(42)).access_hash == 0
        assert (await resolver.ensure_entity_resolved(42)).access_hash == 0
        assert directory.fetched == [42]

    async def test_a_hash_is_not_shown(self) -> None:
        assert str(BOB.access_hash) not in repr(BOB)


class TestMisses:
    async def test_who_cannot_be_found_is_refused_with_a_reason_and_a_remedy(self, resolver: EntityResolver) -> None:
        with pytest.raises(PeerUnresolvedError) as refused:
            await resolver.ensure_entity_resolved(42)
        assert isinstance(refused.value, SendRefusedError), "delivery parks such a reply with its reason"
        assert refused.value.reason == "PEER_UNRESOLVED"
        assert "user 42" in refused.value.message
        assert "write again" in refused.value.message, "the desk shows the message"

    async def test_are_remembered_and_cost_nothing_for_a_while(
        self, resolver: EntityResolver, directory: Directory, clock: SleepingClock
    ) -> None:
        for _ in range(5):
            with pytest.raises(PeerUnresolvedError):
                await resolver.ensure_entity_resolved(42)
        assert directory.fetched == [42]
        clock.now += MISS_SECONDS
        with pytest.raises(PeerUnresolvedError):
            await resolver.ensure_entity_resolved(42)
        assert directory.fetched == [42, 42]

    async def test_are_over_as_soon_as_an_update_names_the_person(
        self, resolver: EntityResolver, directory: Directory
    ) -> None:
        with pytest.raises(PeerUnresolvedError):
            await resolver.ensure_entity_resolved(42)
        await resolver.remember([ANN])
        await resolver.remember(many(MEMORY_SIZE))
        assert await resolver.ensure_entity_resolved(42) == ANN, "also when memory has let it go again"

    async def test_walk_through_the_dialogs_once_an_hour_and_not_each_time(
        self, resolver: EntityResolver, directory: Directory, clock: SleepingClock
    ) -> None:
        directory.chats = many(3)
        for user_id in range(50):
            with pytest.raises(PeerUnresolvedError):
                await resolver.ensure_entity_resolved(user_id)
        assert directory.walks == 1
        clock.now += WARM_UP_SECONDS
        with pytest.raises(PeerUnresolvedError):
            await resolver.ensure_entity_resolved(99)
        assert directory.walks == 2

    async def test_of_many_people_are_bounded(self, resolver: EntityResolver, directory: Directory) -> None:
        for user_id in range(MEMORY_SIZE + 50):
            with pytest.raises(PeerUnresolvedError):
                await resolver.ensure_entity_resolved(user_id)
            assert await resolver._resolve_entity_for_typing(10_000 + user_id) is None
        assert len(resolver._misses) == MEMORY_SIZE
        assert len(resolver._asked_for_typing) == MEMORY_SIZE

    async def test_that_have_run_out_are_dropped(
        self, resolver: EntityResolver, directory: Directory, clock: SleepingClock
    ) -> None:
        for user_id in range(10):
            with pytest.raises(PeerUnresolvedError):
                await resolver.ensure_entity_resolved(user_id)
        await resolver._periodic_cleanup()
        assert len(resolver._misses) == 10
        clock.now += MISS_SECONDS
        await resolver._periodic_cleanup()
        assert len(resolver._misses) == 0


class TestAskingTogether:
    async def test_many_who_want_the_same_peer_share_one_question(
        self, resolver: EntityResolver, directory: Directory
    ) -> None:
        directory.known[42] = ANN.access_hash
        directory.may_answer.clear()
        asking = [asyncio.create_task(resolver.ensure_entity_resolved(42)) for _ in range(30)]
        await eventually(lambda: bool(directory.fetched))
        directory.may_answer.set()
        assert await asyncio.gather(*asking) == [ANN] * 30
        assert directory.fetched == [42]

    async def test_the_others_are_answered_when_the_first_gives_up(
        self, resolver: EntityResolver, directory: Directory
    ) -> None:
        directory.known[42] = ANN.access_hash
        directory.may_answer.clear()
        first, second = (asyncio.create_task(resolver.ensure_entity_resolved(42)) for _ in range(2))
        await eventually(lambda: bool(directory.fetched))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        directory.may_answer.set()
        assert await second == ANN
        assert directory.fetched == [42]

    async def test_many_unknown_people_share_one_walk(self, resolver: EntityResolver, directory: Directory) -> None:
        outcomes = await asyncio.gather(
            *(resolver.ensure_entity_resolved(user_id) for user_id in range(20)), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} == {PeerUnresolvedError}
        assert directory.walks == 1

    async def test_an_update_that_comes_during_the_question_is_believed(
        self, resolver: EntityResolver, directory: Directory
    ) -> None:
        directory.may_answer.clear()
        asking = asyncio.create_task(resolver.ensure_entity_resolved(42))
        await eventually(lambda: bool(directory.fetched))
        await resolver.remember([ANN])
        directory.may_answer.set()
        assert await asking == ANN
        assert await resolver.ensure_entity_resolved(42) == ANN

    async def test_an_update_that_overtakes_the_record_is_believed(
        self, resolver: EntityResolver, store: EntityStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await store.put(ACCOUNT, {42: 1})
        read = store.get

        async def overtaken(account_id: str, user_id: int) -> int | None:
            found = await read(account_id, user_id)
            await resolver.remember([ANN])
            return found

        monkeypatch.setattr(store, "get", overtaken)
        assert await resolver.ensure_entity_resolved(42) == ANN
        assert await resolver.ensure_entity_resolved(42) == ANN


class TestFailures:
    async def test_a_question_that_fails_is_put_again_after_longer_and_longer_waits(
        self, resolver: EntityResolver, directory: Directory, clock: SleepingClock
    ) -> None:
        directory.known[42] = ANN.access_hash
        directory.failures = [TelegramTroubleError("500") for _ in range(3)]
        assert await resolver.ensure_entity_resolved(42) == ANN
        assert clock.slept == [0.5, 1.0, 2.0]

    async def test_a_question_that_keeps_failing_is_given_up_and_is_no_miss(
        self, resolver: EntityResolver, directory: Directory
    ) -> None:
        directory.known[42] = ANN.access_hash
        directory.failures = [TelegramTroubleError("500") for _ in range(4)]
        with pytest.raises(TelegramTroubleError, match="500"):
            await resolver.ensure_entity_resolved(42)
        assert await resolver.ensure_entity_resolved(42) == ANN

    @pytest.mark.parametrize(
        "failure",
        [
            FloodWaitError(30),
            GatewayDisconnectedError("the link is down"),
            AccountRevokedError("SESSION_REVOKED"),
            SendRefusedError("PEER_ID_INVALID"),
        ],
    )
    async def test_what_would_be_the_same_again_passes_through_at_once(
        self, resolver: EntityResolver, directory: Directory, clock: SleepingClock, failure: GatewayError
    ) -> None:
        directory.failures = [failure]
        with pytest.raises(type(failure)):
            await resolver.ensure_entity_resolved(42)
        assert directory.fetched == [42]
        assert clock.slept == []

    @pytest.mark.parametrize("failure", [FloodWaitError(86_400), TelegramTroubleError("500")])
    async def test_a_walk_that_telegram_breaks_off_keeps_what_it_learnt_and_is_not_begun_again_at_once(
        self, resolver: EntityResolver, directory: Directory, clock: SleepingClock, failure: GatewayError
    ) -> None:
        """Otherwise the replies to somebody unknown would have it begun over and over, and none be parked."""
        directory.chats = many(300)
        directory.broken_off_after = (250, failure)
        with pytest.raises(type(failure)):
            await resolver.warm_up_from_dialogs()
        assert await resolver.ensure_entity_resolved(1_249)
        assert directory.fetched == []

        for user_id in range(100):
            with pytest.raises(PeerUnresolvedError):
                await resolver.ensure_entity_resolved(user_id)
        assert directory.walks == 1

        clock.now += MISS_SECONDS
        directory.broken_off_after = None
        assert await resolver.ensure_entity_resolved(1_299)
        assert directory.walks == 2

    async def test_a_walk_that_breaks_with_the_link_is_begun_again_on_the_next(
        self, resolver: EntityResolver, directory: Directory
    ) -> None:
        directory.chats = [*many(3), ANN]
        directory.broken_off_after = (2, GatewayDisconnectedError("the link is down"))
        with pytest.raises(GatewayDisconnectedError):
            await resolver.ensure_entity_resolved(42)
        directory.broken_off_after = None
        assert await resolver.ensure_entity_resolved(42) == ANN

    async def test_a_pause_in_listing_chats_is_none_in_sending(
        self, resolver: EntityResolver, directory: Directory
    ) -> None:
        directory.chats = [ANN, *many(3)]
        directory.broken_off_after = (2, FloodWaitError(86_400))
        assert await resolver.ensure_entity_resolved(42) == ANN
        with pytest.raises(PeerUnresolvedError):
            await resolver.ensure_entity_resolved(43)

    async def test_a_bot_has_no_dialogs_and_is_not_asked_for_them_again(
        self, resolver: EntityResolver, directory: Directory
    ) -> None:
        directory.chats = [BOB]
        directory.broken_off_after = (1, HistoryUnavailableError())
        assert await resolver.warm_up_from_dialogs() == 1
        assert await resolver.warm_up_from_dialogs() == 0
        assert directory.walks == 1
        with pytest.raises(PeerUnresolvedError):
            await resolver.ensure_entity_resolved(42)

    async def test_while_postgresql_is_away_memory_answers_and_nothing_else_does(
        self, resolver: EntityResolver, directory: Directory, wired: Wired
    ) -> None:
        directory.known[43] = BOB.access_hash
        await resolver.remember([ANN])
        async with wired.cut():
            assert await resolver.ensure_entity_resolved(42) == ANN
            with pytest.raises(UnavailableError):
                await resolver.ensure_entity_resolved(43)
        assert await resolver.ensure_entity_resolved(43) == BOB

    async def test_what_updates_say_while_postgresql_is_away_is_saved_afterwards(
        self,
        resolver: EntityResolver,
        store: EntityStore,
        wired: Wired,
    ) -> None:
        async with wired.cut():
            await resolver.remember([ANN])
            assert await resolver.ensure_entity_resolved(42) == ANN
        assert await store.get(ACCOUNT, 42) is None
        await resolver._periodic_cleanup()
        assert await store.get(ACCOUNT, 42) == ANN.access_hash

    async def test_a_long_outage_of_postgresql_fills_no_memory(
        self, resolver: EntityResolver, store: EntityStore, wired: Wired
    ) -> None:
        async with wired.cut():
            await resolver.remember(many(5_000))
            assert len(resolver._unsaved) == MEMORY_SIZE
        await resolver.remember([ANN])
        assert await store.get(ACCOUNT, 5_999) == 5_999 * 7
        assert await store.get(ACCOUNT, 1_000) is None


class TestBounds:
    async def test_memory_holds_a_thousand_and_lets_the_least_used_go(
        self, resolver: EntityResolver, wired: Wired
    ) -> None:
        peers = many(MEMORY_SIZE)
        await resolver.remember(peers)
        await resolver.ensure_entity_resolved(peers[0].user_id)
        await resolver.remember([peers[1]])
        await resolver.remember([ANN, BOB])
        assert len(resolver._memory) == MEMORY_SIZE
        async with wired.cut():
            for kept in (peers[0], peers[1], peers[4], ANN, BOB):
                assert await resolver.ensure_entity_resolved(kept.user_id) == kept
            for gone in peers[2:4]:
                with pytest.raises(UnavailableError):
                    await resolver.ensure_entity_resolved(gone.user_id)

    async def test_a_warm_up_puts_all_on_record_and_only_the_newest_in_memory(
        self, resolver: EntityResolver, store: EntityStore, directory: Directory, db: Database
    ) -> None:
        await resolver.remember([ANN, BOB])
        directory.chats = [*many(2_499), ResolvedPeer(43, 5)]
        assert await resolver.warm_up_from_dialogs() == 2_500
        assert await resolver.ensure_entity_resolved(43) == ResolvedPeer(43, 5), "what was said last counts"
        assert len(resolver._memory) == MEMORY_SIZE
        assert ANN.user_id in resolver._memory
        newest = directory.chats[: MEMORY_SIZE - 2]
        assert {peer.user_id for peer in newest} <= set(resolver._memory)
        async with db.connection() as conn:
            row = await (await conn.execute("SELECT count(*) AS n FROM telegram_entities")).fetchone()
        assert row is not None
        assert row["n"] == 2_501
        await resolver.remember([ResolvedPeer(44, 1)])
        assert {ANN.user_id, BOB.user_id} <= set(resolver._memory), "whom the desk talks to stays"
        assert newest[-1].user_id not in resolver._memory, "the oldest chat went first"

    async def test_a_list_that_tells_nothing_new_is_not_written_again(
        self, resolver: EntityResolver, wired: Wired
    ) -> None:
        await resolver.learn([ANN, BOB])
        async with wired.cut():
            await resolver.learn([ANN, BOB])
            assert len(resolver._unsaved) == 0

    async def test_a_huge_answer_is_kept_whole_on_record(self, resolver: EntityResolver, store: EntityStore) -> None:
        await resolver.remember(many(5_000))
        assert await store.get(ACCOUNT, 1_000) == 7_000
        assert await store.get(ACCOUNT, 5_999) == 5_999 * 7
        assert len(resolver._memory) == MEMORY_SIZE

    async def test_what_is_known_is_not_written_again(self, resolver: EntityResolver, wired: Wired) -> None:
        await resolver.remember([ANN, BOB])
        async with wired.cut():
            for _ in range(1_000):
                await resolver.remember([ANN, BOB])
            assert len(resolver._unsaved) == 0

    async def test_two_processes_that_write_the_same_peers_do_not_stand_in_each_others_way(
        self, store: EntityStore, clock: SleepingClock
    ) -> None:
        peers = many(5_000)
        resolvers = [resolver_on(store, None, clock) for _ in range(4)]
        await asyncio.gather(
            *(one.remember(peers if number % 2 else reversed(peers)) for number, one in enumerate(resolvers))
        )
        assert [len(one._unsaved) for one in resolvers] == [0] * 4

    async def test_cleaning_up_goes_on_until_it_is_cancelled(
        self, resolver: EntityResolver, clock: SleepingClock
    ) -> None:
        running = asyncio.create_task(resolver.run())
        await eventually(lambda: len(clock.slept) > 3)
        assert set(clock.slept) == {CLEANUP_SECONDS}
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


class TestStaleHashes:
    async def test_a_forgotten_peer_is_asked_for_again(
        self, resolver: EntityResolver, store: EntityStore, directory: Directory
    ) -> None:
        await resolver.remember([ANN])
        directory.known[42] = 5
        await resolver.forget(ANN)
        assert await store.get(ACCOUNT, 42) is None
        assert await resolver.ensure_entity_resolved(42) == ResolvedPeer(42, 5)

    async def test_what_is_newer_than_the_refused_hash_stays(
        self, resolver: EntityResolver, store: EntityStore
    ) -> None:
        newer = ResolvedPeer(42, 5)
        await resolver.remember([newer])
        await resolver.forget(ANN)
        assert await resolver.ensure_entity_resolved(42) == newer
        assert await store.get(ACCOUNT, 42) == 5

    async def test_forgetting_whom_nobody_knows_forgets_nobody_else(
        self, resolver: EntityResolver, store: EntityStore
    ) -> None:
        await resolver.remember([BOB])
        await resolver.forget(ANN)
        assert set(resolver._memory) == {BOB.user_id}
        assert await store.get(ACCOUNT, BOB.user_id) == BOB.access_hash

    async def test_a_hash_that_was_refused_before_it_could_be_saved_is_not_saved(
        self, resolver: EntityResolver, store: EntityStore, wired: Wired
    ) -> None:
        async with wired.cut():
            await resolver.remember([ANN])
            with pytest.raises(UnavailableError):
                await resolver.forget(ANN)
        await resolver._periodic_cleanup()
        assert await store.get(ACCOUNT, 42) is None


class TestTyping:
    async def test_knows_whom_memory_or_record_know(
        self, resolver: EntityResolver, store: EntityStore, directory: Directory, clock: SleepingClock
    ) -> None:
        await resolver.remember([ANN])
        assert await resolver._resolve_entity_for_typing(42) == ANN
        assert await resolver_on(store, directory, clock)._resolve_entity_for_typing(42) == ANN
        assert directory.fetched == []

    async def test_asks_telegram_once_and_shows_nothing_to_whom_it_does_not_know(
        self, resolver: EntityResolver, directory: Directory, clock: SleepingClock
    ) -> None:
        for _ in range(5):
            assert await resolver._resolve_entity_for_typing(42) is None
        assert directory.fetched == [42]
        assert directory.walks == 0
        clock.now += MISS_SECONDS
        await resolver._resolve_entity_for_typing(42)
        assert directory.fetched == [42, 42]

    async def test_keeps_what_it_was_told(self, resolver: EntityResolver, directory: Directory) -> None:
        directory.known[42] = ANN.access_hash
        assert await resolver._resolve_entity_for_typing(42) == ANN
        assert await resolver.ensure_entity_resolved(42) == ANN
        assert directory.fetched == [42]

    async def test_does_not_keep_the_message_from_being_sent(
        self, resolver: EntityResolver, directory: Directory
    ) -> None:
        directory.chats = [ANN]
        assert await resolver._resolve_entity_for_typing(42) is None
        assert await resolver.ensure_entity_resolved(42) == ANN

    async def test_does_not_ask_for_whom_sending_could_not_find(
        self, resolver: EntityResolver, directory: Directory
    ) -> None:
        with pytest.raises(PeerUnresolvedError):
            await resolver.ensure_entity_resolved(42)
        assert await resolver._resolve_entity_for_typing(42) is None
        assert directory.fetched == [42]

    async def test_does_not_repeat_a_question_that_failed(
        self, resolver: EntityResolver, directory: Directory, clock: SleepingClock
    ) -> None:
        directory.failures = [TelegramTroubleError("500")]
        with pytest.raises(TelegramTroubleError):
            await resolver._resolve_entity_for_typing(42)
        assert await resolver._resolve_entity_for_typing(42) is None
        assert directory.fetched == [42]
        assert clock.slept == []

    async def test_finds_on_record_whom_memory_let_go_although_it_asked_before(
        self, resolver: EntityResolver, directory: Directory
    ) -> None:
        directory.known[42] = ANN.access_hash
        await resolver._resolve_entity_for_typing(42)
        await resolver.remember(many(MEMORY_SIZE))
        assert await resolver._resolve_entity_for_typing(42) == ANN
        assert directory.fetched == [42]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["remember", "forget", "send", "type", "restart"]), st.integers(1, 6), st.integers(1, 3)
        ),
        max_size=40,
    )
)
async def test_in_any_order_the_last_hash_that_telegram_told_is_used(
    store: EntityStore, db: Database, steps: list[tuple[str, int, int]]
) -> None:
    async with db.connection() as conn:
        await conn.execute("DELETE FROM telegram_entities")
    clock = SleepingClock()
    directory = Directory()
    resolver = resolver_on(store, directory, clock)
    told: dict[int, int] = {}
    for action, user_id, access_hash in steps:
        match action:
            case "remember":
                told[user_id] = access_hash
                await resolver.remember([ResolvedPeer(user_id, access_hash)])
            case "forget":
                await resolver.forget(ResolvedPeer(user_id, access_hash))
                if told.get(user_id) == access_hash:
                    del told[user_id]
            case "send" if user_id in told:
                assert (await resolver.ensure_entity_resolved(user_id)).access_hash == told[user_id]
            case "send":
                with pytest.raises(PeerUnresolvedError):
                    await resolver.ensure_entity_resolved(user_id)
            case "type":
                peer = await resolver._resolve_entity_for_typing(user_id)
                assert (peer.access_hash if peer else None) == told.get(user_id)
            case _:
                resolver = resolver_on(store, directory, clock)
