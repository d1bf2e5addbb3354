"""How long a message takes from the sandbox's hand-over to the review desk, and a reply from approval to the phone.

Roles are processes of their own (one api, one worker, one bot), PostgreSQL syncs to disk, the offline drafter answers,
and reading and typing take no time. The pacing window and the model's time are taken off.

Budget (DESIGN section 7): intake to review desk p95 <= 100 ms at 50 messages/s.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.report import Figure, report
from nadia.cli.demo.reviewer import AutomaticReviewer, Chances
from nadia.cli.demo.tally import until_settled
from nadia.postgres.database import Database
from nadia.telegram.sandbox.customer import CustomerClient
from support.servers import short_folder
from support.system import ACCOUNT, System, running_system

WINDOW_SECONDS = 1.0
SECONDS = 20
RUNS = ((50, False), (100, False), (10, True))
"""Messages per second, and whether somebody approves: an automatic reviewer's looking is a load of its own."""

_STAGES = """
WITH batch AS (
    SELECT b.id, b.sealed_at, max(m.received_at) AS received_at, max(m.sent_at) AS sent_at
    FROM batches b JOIN messages m ON m.batch_id = b.id AND m.direction = 'in'
    WHERE b.revision = 1 GROUP BY b.id
), stage (name, position, seconds) AS (
    SELECT 'intake (hand-over to row)', 1, extract(epoch FROM received_at - sent_at) FROM batch
    UNION ALL
    SELECT 'pacing (row to batch, window taken off)', 2,
           extract(epoch FROM sealed_at - received_at) - %(window)s FROM batch
    UNION ALL
    SELECT 'drafting (batch to draft, model taken off)', 3,
           extract(epoch FROM d.created_at - batch.sealed_at) - d.latency_ms / 1000.0
    FROM batch JOIN drafts d ON d.batch_id = batch.id AND d.revision = 1
    UNION ALL
    SELECT 'intake to review desk', 4,
           extract(epoch FROM d.created_at - batch.sent_at) - %(window)s - d.latency_ms / 1000.0
    FROM batch JOIN drafts d ON d.batch_id = batch.id AND d.revision = 1
    UNION ALL
    SELECT 'delivery (approval to phone)', 5, extract(epoch FROM o.sent_at - r.decided_at)
    FROM review_decisions r JOIN outbox o ON o.decision_id = r.id AND o.state = 'sent'
    WHERE o.position = 0
)
SELECT name, count(*) AS samples,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds) AS p99
FROM stage GROUP BY name, position ORDER BY position
"""


async def main() -> None:
    """Measure each run."""
    for rate, reviewed in RUNS:
        with short_folder() as base:
            settings = {
                "NADIA_PACING_WINDOW_SECONDS": str(WINDOW_SECONDS),
                "NADIA_DELIVERY_SPEED": "10000",
                "NADIA_DELIVERY_UNDO_SECONDS": "0",
            }
            async with running_system(base, settings=settings, durable=True) as system, AsyncExitStack() as stack:
                if reviewed:
                    await stack.enter_async_context(_reviewing(system))
                await _write(system, rate)
                async with system.database() as database:
                    settle = until_settled if reviewed else _until_drafted
                    await asyncio.wait_for(settle(database, messages=rate * SECONDS), 120)
                    await _report(database, rate, reviewed=reviewed)


async def _until_drafted(database: Database, *, messages: int) -> None:
    while True:
        async with database.connection() as conn:
            row = await (await conn.execute("SELECT count(DISTINCT batch_id) AS drafted FROM drafts")).fetchone()
        if row and row["drafted"] >= messages:
            return
        await asyncio.sleep(0.2)


async def _write(system: System, rate: int) -> None:
    """Write one message for each of many customers, evenly spread."""
    async with CustomerClient(address=system.sandbox.address) as client:
        customers = [await client.create(name=f"Customer {number}") for number in range(rate * SECONDS)]
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, customer in enumerate(customers):
                await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
                group.create_task(client.write(account=ACCOUNT, user_id=customer.user_id, text="when do you open?"))


@asynccontextmanager
async def _reviewing(system: System) -> AsyncIterator[None]:
    reviewer = AutomaticReviewer(
        url=system.web_url(), token=system.token, chances=Chances(edit=0, reject=0, redraft=0), at_once=4
    )
    task = asyncio.create_task(reviewer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _report(database: Database, rate: int, *, reviewed: bool) -> None:
    async with database.connection() as conn:
        rows = await (await conn.execute(_STAGES, {"window": WINDOW_SECONDS})).fetchall()
    for row in rows:
        if reviewed != row["name"].startswith("delivery"):
            continue
        budget = 0.1 if row["name"] == "intake to review desk" and rate == 50 else None
        report(
            Figure(
                benchmark="stages",
                name=row["name"],
                unit="s",
                values={"median": row["median"], "p95": row["p95"], "p99": row["p99"]},
                samples=row["samples"],
                setup={"messages_per_second": rate, "processes": "1 api, 1 worker, 1 bot, sandbox apart"},
                budget=None if budget is None else {"p95": budget},
            )
        )
