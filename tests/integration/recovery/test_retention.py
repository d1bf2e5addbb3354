"""How long recovery's records are kept."""

from types import SimpleNamespace
from typing import Any

import pytest

from nadia.app.worker import worker_parts
from nadia.recovery import retention
from nadia.recovery.config import RecoveryConfig
from nadia.recovery.models import Reason
from nadia.recovery.store import RecoveryStore
from nadia.review.config import ReviewSettings
from nadia.tracing.config import TracingSettings
from support.core import ScriptedDrafter, running, until
from support.recovering import Downtime


async def recovered(downtime: Downtime) -> None:
    """One chat that was read, with its summary."""
    await downtime.live(9)
    downtime.write(1, "my parcel is lost")
    await downtime.recover()


async def age(downtime: Downtime, days: int) -> None:
    """Make everything on record older."""
    values = (days,)
    await downtime.core.execute(
        "UPDATE recovery_gaps SET opened_at = opened_at - make_interval(days => %s), "
        "closed_at = closed_at - make_interval(days => %s)",
        *values * 2,
    )
    await downtime.core.execute(
        "UPDATE recovery_operations SET started_at = started_at - make_interval(days => %s), "
        "ended_at = ended_at - make_interval(days => %s)",
        *values * 2,
    )
    await downtime.core.execute(
        "UPDATE recovery_chats SET summarised_at = summarised_at - make_interval(days => %s)", *values
    )


async def kept(downtime: Downtime) -> tuple[int, int, int]:
    """How many gaps, runs and chats are on record."""
    (row,) = await downtime.core.execute(
        "SELECT (SELECT count(*) FROM recovery_gaps) AS gaps, (SELECT count(*) FROM recovery_operations) AS runs, "
        "(SELECT count(*) FROM recovery_chats) AS chats"
    )
    return row["gaps"], row["runs"], row["chats"]


@pytest.mark.parametrize(("days", "left"), [(6, (1, 1, 1)), (8, (1, 1, 0)), (31, (0, 0, 0))])
async def test_chats_are_kept_a_week_and_runs_a_month(
    downtime: Downtime, days: int, left: tuple[int, int, int]
) -> None:
    await recovered(downtime)
    await age(downtime, days)
    for _ in range(2):
        await retention.enforce(downtime.core.database)
        assert await kept(downtime) == left
    assert await downtime.texts(1) == ["my parcel is lost"]


async def test_a_gap_that_never_closes_holds_customers_words_no_longer(downtime: Downtime) -> None:
    await recovered(downtime)
    assert (await downtime.chats())[1]["summary"] is not None
    await downtime.core.execute("UPDATE recovery_gaps SET closed_at = NULL")
    await age(downtime, 31)
    await retention.enforce(downtime.core.database)
    chat = (await downtime.chats())[1]
    assert (chat["state"], chat["summary"]) == ("done", None)
    assert await kept(downtime) == (1, 1, 1), "the chat says by which run it was read"


async def test_what_is_still_to_be_tried_again_outlives_its_gap(downtime: Downtime) -> None:
    await recovered(downtime)
    await downtime.core.execute("UPDATE recovery_chats SET state = 'failed'")
    await age(downtime, 100)
    await retention.enforce(downtime.core.database)
    store = RecoveryStore(database=downtime.core.database, settings=RecoveryConfig(), clock=downtime.clock)
    gap = await store.open_gap(downtime.core.ownership, Reason.START)
    chats = await downtime.core.execute("SELECT state FROM recovery_chats WHERE gap_id = %s", gap.id)
    assert chats == [{"state": "pending"}]
    await retention.enforce(downtime.core.database)
    assert await kept(downtime) == (1, 0, 1), "what was carried over goes with its gap"


async def test_a_worker_sees_to_it(downtime: Downtime) -> None:
    await recovered(downtime)
    await age(downtime, 31)
    core = downtime.core
    context: Any = SimpleNamespace(
        config=SimpleNamespace(review=ReviewSettings(), tracing=TracingSettings()),
        database=core.database,
        batches=core.batches,
        tracker=core.tracker,
        drafting=core.drafting(ScriptedDrafter()),
    )

    await core.park((await core.sealed(5)).id, reason="long ago")
    await core.execute("UPDATE notices SET at = at - interval '91 days'")

    async def is_pruned() -> bool:
        return await kept(downtime) == (0, 0, 0) and not await core.value("SELECT count(*) FROM notices")

    async with running(worker_parts(context)["expiry"]):
        await until(is_pruned, what="the records' end")
