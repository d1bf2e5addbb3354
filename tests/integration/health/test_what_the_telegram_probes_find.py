"""Accounts that nobody acts for, sessions that Telegram revoked, connections that are lost, and recovery."""

from dataclasses import replace

import pytest

from support.core import ACCOUNT
from support.health_world import CRITICAL, HEALTHY, UNKNOWN, WARNING, HealthWorld
from support.recovery_records import Records


async def owner_dies(world: HealthWorld, account_id: str = ACCOUNT) -> None:
    await world.core.execute(
        "UPDATE telegram_accounts SET expires_at = clock_timestamp() - interval '1 s' WHERE id = %s", account_id
    )


async def acted_for(world: HealthWorld, account_id: str) -> None:
    await world.core.execute(
        "UPDATE telegram_accounts SET holder = 'bot/1/a', expires_at = clock_timestamp() + interval '1 min' "
        "WHERE id = %s",
        account_id,
    )


async def test_an_account_whose_owner_died_is_critical_and_well_with_the_next_one(world: HealthWorld) -> None:
    await owner_dies(world)

    assert await world.turned() == {"telegram-owner": CRITICAL}
    found = await world.of("telegram-owner")
    assert (found.value, found.summary) == (1, f"nobody acts for {ACCOUNT}: customers wait unread")

    await world.core.own()
    assert await world.turned() == {}


async def test_an_account_that_was_given_up_is_critical(world: HealthWorld) -> None:
    await world.core.ownerships.release(world.core.ownership)

    assert await world.turned() == {"telegram-owner": CRITICAL}


async def test_other_accounts_of_the_sandbox_are_not_in_use(world: HealthWorld) -> None:
    await world.core.ownerships.register("former", "sandbox")

    assert await world.turned() == {}


async def test_a_sandbox_in_which_no_bot_ever_ran_says_what_to_do(world: HealthWorld) -> None:
    elsewhere = replace(world, account="never-begun")

    assert await elsewhere.turned() == {"telegram-owner": CRITICAL}
    assert "nadia run bot" in str((await elsewhere.of("telegram-owner")).hint)


async def test_a_revoked_session_is_critical_and_its_account_needs_no_owner(world: HealthWorld) -> None:
    real = replace(world, network="telegram")
    records = Records(world.core.database.connection)
    await records.account("shop", network="telegram", session="")
    await acted_for(world, "shop")
    await world.link(1, "shop")
    assert await real.turned() == {}

    await records.account("support", network="telegram", session="AUTH_KEY_UNREGISTERED")

    turned = await real.turned()
    assert turned == {"telegram-sessions": CRITICAL, "recovery": WARNING}, "recovery's cursors tell it too"
    found = await real.of("telegram-sessions")
    assert found.summary == "Telegram no longer accepts 1 session: support (AUTH_KEY_UNREGISTERED)"
    assert found.hint == "log in again: nadia telegram login --account support"


async def test_an_account_that_a_person_logged_out_of_is_no_trouble(world: HealthWorld) -> None:
    real = replace(world, network="telegram")
    records = Records(world.core.database.connection)
    await records.account("shop", network="telegram", session="")
    await acted_for(world, "shop")
    await world.link(1, "shop")
    await records.account("former", network="telegram", session="LOGGED_OUT")
    await records.account("never", network="telegram")

    assert await real.turned() == {}


async def test_the_real_network_without_any_account_is_a_warning(world: HealthWorld) -> None:
    real = replace(world, network="telegram")

    assert await real.turned() == {"telegram-sessions": WARNING}
    assert (await real.of("telegram-sessions")).hint == "nadia telegram login"


async def test_an_owner_that_is_not_connected_is_a_warning(world: HealthWorld) -> None:
    await world.link(0)

    assert await world.turned() == {"telegram-link": WARNING}
    assert (await world.of("telegram-link")).summary == f"not connected: {ACCOUNT}"
    await world.link(1)
    assert await world.turned() == {}


async def test_the_age_of_the_last_update_is_told_and_not_judged(world: HealthWorld) -> None:
    await world.core.execute(
        "UPDATE telegram_accounts SET update_state_at = clock_timestamp() - interval '3 days' WHERE id = %s", ACCOUNT
    )

    found = await world.of("telegram-link")

    assert (found.status, found.summary) == (HEALTHY, "1 of 1 account connected; the last update 3 days ago")


async def test_a_connection_of_which_nothing_is_reported_yet_is_no_trouble(world: HealthWorld) -> None:
    async with world.core.redis.use() as redis:
        await redis.flushall()

    assert await world.turned() == {}
    found = await world.of("telegram-link")
    assert found.summary == "0 of 1 account connected, nothing reported yet of the rest"


async def test_an_owner_that_never_reports_anything_is_unknown_and_not_well(world: HealthWorld) -> None:
    async with world.core.redis.use() as redis:
        await redis.flushall()
    await world.core.execute("UPDATE telegram_accounts SET owned_since = owned_since - interval '91 s'")

    assert await world.turned() == {"telegram-link": UNKNOWN}
    found = await world.of("telegram-link")
    assert found.summary == f"nothing reported of {ACCOUNT}"
    assert found.hint is not None

    await world.core.own()
    assert await world.turned() == {}, "the next owner has time to report"


async def test_a_bot_that_waits_for_the_account_does_not_hide_its_owner_s_connection(world: HealthWorld) -> None:
    await world.link(0, process="another bot")

    assert await world.turned() == {}


async def test_recovery_s_own_check_is_one_probe(world: HealthWorld) -> None:
    records = Records(world.core.database.connection)
    await records.gap(ACCOUNT, hours=30)

    assert await world.turned() == {"recovery": CRITICAL}
    found = await world.of("recovery")
    assert found.summary.startswith("cursors: ")
    assert found.value == pytest.approx(30, abs=0.01)
    assert (found.unit, found.threshold) == ("hours", 24)
