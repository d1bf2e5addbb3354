"""Customers and reviewers who talk through a running system, and how it all ended."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress

from nadia.cli.demo.customers import ScriptedCustomer, chats
from nadia.cli.demo.reviewer import AutomaticReviewer, Chances
from nadia.cli.demo.script import write_script
from nadia.cli.demo.tally import Tally, take_tally, until_settled
from nadia.errors import UnavailableError
from nadia.postgres.database import Database
from support.system import ACCOUNT, System

_UNSETTLED = """
SELECT b.id, b.state, b.revision, b.drafting_attempts, b.drafting_until, b.claim_expires_at, b.no_draft_reason,
       b.parked_reason, now() AS now,
       (SELECT json_agg(json_build_array(o.id, o.position, o.state, o.attempts, o.send_after, o.last_error))
        FROM outbox o WHERE o.batch_id = b.id) AS outbox
FROM batches b WHERE b.state NOT IN ('sent', 'rejected', 'expired')
UNION ALL
SELECT NULL, 'buffering', count(*), NULL, NULL, NULL, NULL, NULL, max(received_at), NULL
FROM messages WHERE batch_id IS NULL AND direction = 'in' HAVING count(*) > 0
"""

SEED = int(os.environ.get("NADIA_TEST_SEED", "20"))


def mark_bubbles(batch_id: int, bubbles: Sequence[str]) -> list[str]:
    """Make every reply unlike any other, so that a second delivery would show."""
    return [f"{bubble} [{batch_id}.{number}]" for number, bubble in enumerate(bubbles)]


async def converse(
    system: System,
    *,
    meanwhile: Callable[[], Coroutine[None, None, None]],
    customers: int = 60,
    webs: int = 1,
    spread_seconds: float = 20,
) -> Tally:
    """Let customers and reviewers talk while something happens to the system; return how it all ended."""
    script = write_script(customers=customers, seed=SEED, window_seconds=0.4, spread_seconds=spread_seconds)
    people = [ScriptedCustomer(part=part, address=system.sandbox.address, account=ACCOUNT) for part in script]
    reviewers = [
        AutomaticReviewer(
            url=system.web_url(number),
            token=system.token,
            chances=Chances(edit=0.0, reject=0.05, redraft=0.05),
            seed=SEED + number,
            edit=mark_bubbles,
        )
        for number in range(webs)
    ]
    reviewing = [asyncio.create_task(reviewer.run()) for reviewer in reviewers]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(meanwhile())
            for customer in people:
                group.create_task(customer.play())
        return await _tally(system, people)
    finally:
        for task in reviewing:
            task.cancel()
        await asyncio.gather(*reviewing, return_exceptions=True)


async def _tally(system: System, customers: Sequence[ScriptedCustomer]) -> Tally:
    async with system.database() as database:
        try:
            async with asyncio.timeout(120):
                while True:
                    with suppress(UnavailableError):
                        await until_settled(database, messages=sum(customer.written for customer in customers))
                        break
        except TimeoutError:
            said = "\n".join(system.log("bot").splitlines()[-15:])
            waiting = await _unsettled(database)
            raise AssertionError(f"it did not settle: {waiting}\nthe bot said last:\n{said}") from None
        phones = await chats(
            address=system.sandbox.address,
            account=ACCOUNT,
            user_ids=[customer.user_id for customer in customers],
        )
        return await take_tally(database, phones)


async def _unsettled(database: Database) -> list[dict[str, object]]:
    """Return what still waits, and for what, for whoever has to find out why."""
    async with database.connection() as conn:
        return await (await conn.execute(_UNSETTLED)).fetchall()
