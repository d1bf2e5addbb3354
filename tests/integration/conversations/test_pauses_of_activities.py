"""Stopping and starting drafting or sending, for one account or all, on record."""

import asyncio

import pytest

from nadia.conversations.pauses import Activity, is_paused
from nadia.errors import NotFoundError
from support.core import ACCOUNT, Core


async def paused(core: Core, activity: Activity, account_id: str = ACCOUNT) -> bool:
    async with core.database.transaction() as conn:
        return await is_paused(conn, activity, account_id)


async def test_a_pause_of_one_account_stops_that_activity_there_only(core: Core) -> None:
    await core.ownerships.register("other", "sandbox")
    assert await core.pauses.pause(Activity.SENDING, account_id=ACCOUNT, reason="holiday", actor="account:1")
    assert await paused(core, Activity.SENDING)
    assert not await paused(core, Activity.SENDING, "other")
    assert not await paused(core, Activity.DRAFTING)


async def test_a_pause_of_all_is_lifted_apart_from_that_of_one(core: Core) -> None:
    await core.pauses.pause(Activity.DRAFTING, reason="cost", actor="account:1")
    await core.pauses.pause(Activity.DRAFTING, account_id=ACCOUNT, reason="trial", actor="account:2")
    assert [pause.telegram_account_id for pause in await core.pauses.list()] == [None, ACCOUNT]
    assert await core.pauses.resume(Activity.DRAFTING, actor="account:1")
    assert await paused(core, Activity.DRAFTING)
    assert await core.pauses.resume(Activity.DRAFTING, account_id=ACCOUNT, actor="account:1")
    assert not await paused(core, Activity.DRAFTING)


async def test_a_second_pause_keeps_the_first_ones_reason_and_is_not_on_record(core: Core) -> None:
    outcomes = await asyncio.gather(
        *(core.pauses.pause(Activity.SENDING, reason=f"reason {n}", actor="account:1") for n in range(5))
    )
    assert sorted(outcomes) == [False] * 4 + [True]
    assert await core.value("SELECT count(*) FROM audit_log WHERE action = 'sending.paused'") == 1


async def test_resuming_what_runs_changes_nothing(core: Core) -> None:
    assert not await core.pauses.resume(Activity.SENDING, actor="account:1")
    assert await core.value("SELECT count(*) FROM audit_log") == 0


async def test_an_unknown_account_is_refused_by_name(core: Core) -> None:
    for work in (
        core.pauses.pause(Activity.SENDING, account_id="nobody", reason="x", actor="account:1"),
        core.pauses.resume(Activity.SENDING, account_id="nobody", actor="account:1"),
    ):
        with pytest.raises(NotFoundError, match="'nobody'"):
            await work


async def test_who_paused_and_who_resumed_is_on_record(core: Core) -> None:
    await core.pauses.pause(Activity.SENDING, reason="a flood", actor="system")
    await core.pauses.resume(Activity.SENDING, actor="account:3")
    rows = await core.execute("SELECT actor, action, subject, before, after FROM audit_log ORDER BY id")
    assert [(row["actor"], row["action"], row["subject"]) for row in rows] == [
        ("system", "sending.paused", "telegram_account:all"),
        ("account:3", "sending.resumed", "telegram_account:all"),
    ]
    assert rows[0]["after"] == {"reason": "a flood"}
    assert rows[1]["before"] == {"reason": "a flood", "paused_by": "system"}
