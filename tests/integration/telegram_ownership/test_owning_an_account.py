"""Exactly one process acts for a Telegram account."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from nadia.postgres.database import Database, DatabaseError
from nadia.postgres.leases import SAFETY_SECONDS
from nadia.telegram.ownership import Ownership, Ownerships, owns
from support.servers import ClonedDatabase

ACCOUNT = "desk"


@dataclass
class Monotonic:
    """A process's own clock, as a test sets it."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def db(database: ClonedDatabase) -> AsyncIterator[Database]:
    opened = Database(dsn=database.app_dsn, pool_size=20)
    await opened.open()
    await ownerships(opened, "setup/1/a").register(ACCOUNT, "sandbox")
    yield opened
    await opened.close()


def ownerships(
    db: Database,
    holder: str,
    *,
    lease: float = 30,
    grace: float = 10,
    succeeds: str = "",
    clock: Monotonic | None = None,
) -> Ownerships:
    return Ownerships(
        database=db,
        holder=holder,
        lease_seconds=lease,
        grace_seconds=grace,
        succeeds=succeeds,
        monotonic=clock or Monotonic(),
    )


async def expire(db: Database, *, seconds_ago: float) -> None:
    async with db.connection() as conn:
        await conn.execute(
            "UPDATE telegram_accounts SET expires_at = clock_timestamp() - make_interval(secs => %s)", (seconds_ago,)
        )


async def may_write(db: Database, ownership: Ownership) -> bool:
    async with db.transaction() as conn:
        return await owns(conn, account_id=ownership.account_id, fencing_token=ownership.fencing_token)


async def test_of_many_who_want_it_exactly_one_gets_it(db: Database) -> None:
    outcomes = await asyncio.gather(*(ownerships(db, f"host/{n}/a").acquire(ACCOUNT) for n in range(20)))
    assert len([outcome for outcome in outcomes if outcome]) == 1


async def test_many_who_want_an_expired_one_get_one_owner(db: Database) -> None:
    assert await ownerships(db, "old/1/a").acquire(ACCOUNT)
    await expire(db, seconds_ago=11)
    outcomes = await asyncio.gather(*(ownerships(db, f"host/{n}/a").acquire(ACCOUNT) for n in range(20)))
    assert [outcome.fencing_token for outcome in outcomes if outcome] == [2]


async def test_nobody_takes_over_before_expiry_and_grace(db: Database) -> None:
    assert await ownerships(db, "one/1/a").acquire(ACCOUNT)
    two = ownerships(db, "two/2/a", grace=10)
    assert await two.acquire(ACCOUNT) is None
    await expire(db, seconds_ago=5)  # within the grace
    assert await two.acquire(ACCOUNT) is None
    await expire(db, seconds_ago=10.5)
    assert await two.acquire(ACCOUNT) is not None


async def test_an_old_token_is_worth_nothing_after_a_take_over(db: Database) -> None:
    one, two = ownerships(db, "one/1/a"), ownerships(db, "two/2/a")
    old = await one.acquire(ACCOUNT)
    assert old is not None
    await expire(db, seconds_ago=11)
    new = await two.acquire(ACCOUNT)
    assert new is not None
    assert new.fencing_token > old.fencing_token
    assert not await one.renew(old)
    assert not await may_write(db, old)
    await one.store_state(old, {"pts": 1})
    await one.release(old)
    assert await may_write(db, new)
    assert await two.renew(new)
    assert (await _row(db))["update_state"] is None


async def test_an_expired_token_is_worth_nothing_even_without_a_successor(db: Database) -> None:
    one = ownerships(db, "one/1/a")
    mine = await one.acquire(ACCOUNT)
    assert mine is not None
    await expire(db, seconds_ago=0.001)
    assert not await may_write(db, mine)
    assert not await one.renew(mine)


async def test_a_renewal_counts_from_when_it_was_asked_for(db: Database) -> None:
    clock = Monotonic()
    one = ownerships(db, "one/1/a", lease=30, clock=clock)
    mine = await one.acquire(ACCOUNT)
    assert mine is not None
    assert mine.deadline == 1_000 + 30 - SAFETY_SECONDS
    clock.now = 1_020
    assert await one.renew(mine)
    assert mine.deadline == 1_020 + 30 - SAFETY_SECONDS
    clock.now = mine.deadline - 0.001
    assert mine.lives
    clock.now = mine.deadline
    assert not mine.lives  # although the row lives for another second


async def test_a_holder_stops_before_its_row_expires(db: Database) -> None:
    clock = Monotonic()
    mine = await ownerships(db, "one/1/a", lease=5, clock=clock).acquire(ACCOUNT)
    assert mine is not None
    clock.now += 4
    assert not mine.lives
    assert await may_write(db, mine)


async def test_a_released_account_is_free_at_once(db: Database) -> None:
    one = ownerships(db, "one/1/a")
    mine = await one.acquire(ACCOUNT)
    assert mine is not None
    await one.release(mine)
    assert not await may_write(db, mine)
    assert await ownerships(db, "two/2/a").acquire(ACCOUNT) is not None


async def test_the_successor_of_a_home_does_not_wait_for_its_dead(db: Database) -> None:
    assert await ownerships(db, "host:|home|nadia/1/a").acquire(ACCOUNT)
    assert await ownerships(db, "elsewhere/2/a", succeeds="elsewhere").acquire(ACCOUNT) is None
    taken = await ownerships(db, "host:|home|nadia/3/b", succeeds="host:|home|nadia").acquire(ACCOUNT)
    assert taken is not None
    assert taken.fencing_token == 2


async def test_who_succeeds_nobody_takes_over_from_nobody(db: Database) -> None:
    async with db.connection() as conn:
        await conn.execute(
            "UPDATE telegram_accounts SET holder = '/1/a', expires_at = clock_timestamp() + interval '1 minute'"
        )
    assert await ownerships(db, "two/2/a", succeeds="").acquire(ACCOUNT) is None


async def test_the_position_survives_to_the_next_owner(db: Database) -> None:
    one = ownerships(db, "one/1/a")
    mine = await one.acquire(ACCOUNT)
    assert mine is not None
    assert mine.state is None
    await one.store_state(mine, {"pts": 7, "chats": {"1": [1, 2]}})
    await one.release(mine)
    successor = await ownerships(db, "two/2/a").acquire(ACCOUNT)
    assert successor is not None
    assert successor.state == {"pts": 7, "chats": {"1": [1, 2]}}


async def test_a_take_over_waits_for_a_transaction_that_was_told_it_owns(db: Database) -> None:
    one = ownerships(db, "home/1/a")
    mine = await one.acquire(ACCOUNT)
    assert mine is not None
    async with db.transaction() as conn:
        assert await owns(conn, account_id=ACCOUNT, fencing_token=mine.fencing_token)
        taking = asyncio.create_task(ownerships(db, "home/2/b", succeeds="home").acquire(ACCOUNT))
        async with asyncio.timeout(10):
            while not (await _waiting(db)):
                await asyncio.sleep(0.01)
        assert not taking.done()
        await conn.execute("INSERT INTO notices (topic, severity, summary) VALUES ('sent', 'info', 'by the old owner')")
    successor = await taking
    assert successor is not None
    assert not await may_write(db, mine)


async def test_an_unknown_account_has_no_owner(db: Database) -> None:
    assert await ownerships(db, "one/1/a").acquire("nobody") is None


async def test_registering_twice_keeps_the_owner(db: Database) -> None:
    one = ownerships(db, "one/1/a")
    mine = await one.acquire(ACCOUNT)
    assert mine is not None
    await one.register(ACCOUNT, "sandbox")
    assert await may_write(db, mine)
    with pytest.raises(DatabaseError):
        await one.register("Not a Name", "sandbox")


async def test_a_lease_that_is_over_before_it_begins_is_refused(db: Database) -> None:
    with pytest.raises(ValueError, match="lease"):
        ownerships(db, "one/1/a", lease=SAFETY_SECONDS)
    with pytest.raises(ValueError, match="first part"):
        ownerships(db, "/home/1")


async def _row(db: Database) -> dict[str, object]:
    async with db.connection() as conn:
        row = await (await conn.execute("SELECT * FROM telegram_accounts")).fetchone()
    assert row is not None
    return row


async def _waiting(db: Database) -> bool:
    async with db.connection() as conn:
        row = await (await conn.execute("SELECT count(*) AS locks FROM pg_locks WHERE NOT granted")).fetchone()
    return bool(row and row["locks"])
