"""Leases: one holder at a time, by the database's clock, with a token that fences off who is late."""

import asyncio

import pytest

from nadia.postgres.leases import SAFETY_SECONDS, Lease, Leases, holds
from support.core import until
from support.daemons import World


def leases(
    world: World, holder: str, *, lease: float = 30.0, grace: float = 0.0, succeeds: str = "", now: float = 1_000.0
) -> Leases:
    return Leases(
        database=world.database,
        holder=holder,
        lease_seconds=lease,
        grace_seconds=grace,
        succeeds=succeeds,
        monotonic=lambda: now,
    )


async def held(world: World, lease: Lease) -> bool:
    async with world.database.transaction() as conn:
        return await holds(conn, lease)


async def test_of_many_who_try_at_once_one_gets_it(world: World) -> None:
    tries = await asyncio.gather(*(leases(world, f"host/{number}/a").acquire("x") for number in range(12)))
    assert len([lease for lease in tries if lease is not None]) == 1


async def test_two_leases_have_nothing_to_do_with_each_other(world: World) -> None:
    assert await leases(world, "one/1/a").acquire("x") is not None
    assert await leases(world, "two/2/a").acquire("y") is not None


async def test_a_holder_stops_before_the_database_says_so(world: World) -> None:
    lease = await leases(world, "one/1/a").acquire("x")
    assert lease is not None
    assert lease.deadline == 1_000 + 30 - SAFETY_SECONDS
    assert await leases(world, "one/1/a", now=1_020.0).renew(lease)
    assert lease.deadline == 1_020 + 30 - SAFETY_SECONDS


async def test_a_successor_waits_for_expiry_and_grace_and_the_late_one_is_fenced_off(world: World) -> None:
    first = leases(world, "one/1/a", lease=1.1)
    lease = await first.acquire("x")
    assert lease is not None
    patient = leases(world, "two/2/a", grace=60.0)
    second = leases(world, "two/2/a", grace=0.2)
    taken: list[Lease] = []

    async def take() -> bool:
        if (got := await second.acquire("x")) is not None:
            taken.append(got)
        return bool(taken)

    assert not await take()
    await until(take, what="the take-over")
    assert await patient.acquire("x") is None
    assert taken[0].fencing_token == lease.fencing_token + 1
    assert not await held(world, lease)
    assert await held(world, taken[0])
    assert not await first.renew(lease)
    assert not lease.lives
    await first.release(lease)
    assert await held(world, taken[0]), "a late release changes nothing"


async def test_what_is_given_up_is_free_at_once(world: World) -> None:
    first = leases(world, "one/1/a", grace=60.0)
    lease = await first.acquire("x")
    assert lease is not None
    await first.release(lease)
    assert await leases(world, "two/2/a", grace=60.0).acquire("x") is not None


async def test_the_owner_of_a_home_succeeds_who_died_there_and_nobody_else(world: World) -> None:
    assert await leases(world, "home/1/a").acquire("x") is not None
    assert await leases(world, "other/2/a", succeeds="other").acquire("x") is None
    assert await leases(world, "home/3/b", succeeds="home").acquire("x") is not None


async def test_a_take_over_waits_for_the_transaction_of_who_still_held_it(world: World) -> None:
    lease = await leases(world, "home/1/a").acquire("x")
    assert lease is not None
    async with world.database.transaction() as conn:
        assert await holds(conn, lease)
        taking = asyncio.create_task(leases(world, "home/3/b", succeeds="home").acquire("x"))
        done, _ = await asyncio.wait({taking}, timeout=0.3)
        assert not done
    assert await taking is not None


@pytest.mark.parametrize(("holder", "lease"), [("/1/a", 30.0), ("one/1/a", SAFETY_SECONDS)])
async def test_impossible_ones_are_refused(world: World, holder: str, lease: float) -> None:
    with pytest.raises(ValueError, match=r"holder's name|lease of"):
        leases(world, holder, lease=lease)
