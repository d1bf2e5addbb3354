"""The store on its thread: whole operations, in order, acknowledged after their commit."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from nadia.errors import UnavailableError
from nadia.telegram.sandbox import customer_operations, requests
from nadia.telegram.sandbox.ledger import Ledger
from nadia.telegram.sandbox.protocol import RequestRefusedError
from nadia.telegram.sandbox.store import Outcome
from nadia.telegram.sandbox.wire import Customers, Done


@pytest.fixture
async def ledger(folder: Path) -> AsyncIterator[Ledger]:
    ledger = Ledger(path=folder / "sandbox.db")
    await ledger.open()
    yield ledger
    await ledger.close()


def create(db: sqlite3.Connection, name: str, failure: Exception | None = None) -> Outcome:
    customer_operations.create_customer(db, requests.CreateCustomer(name=name))
    if failure is not None:
        raise failure
    return Outcome(Done())


def ignore(_: Outcome) -> None:
    """Nobody to tell."""


async def names(ledger: Ledger) -> list[str]:
    outcome = await ledger.run(partial(customer_operations.list_customers, request=requests.ListCustomers()), ignore)
    assert isinstance(outcome.answer, Customers)
    return [customer.name for customer in outcome.answer.customers]


async def test_a_refused_operation_leaves_nothing_and_its_neighbours_everything(ledger: Ledger) -> None:
    refusal = RequestRefusedError("NO", "no")
    results = await asyncio.gather(
        ledger.run(partial(create, name="before"), ignore),
        ledger.run(partial(create, name="refused", failure=refusal), ignore),
        ledger.run(partial(create, name="broken", failure=KeyError("bug")), ignore),
        ledger.run(partial(create, name="after"), ignore),
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [Outcome, RequestRefusedError, KeyError, Outcome]
    assert await names(ledger) == ["before", "after"]


async def test_when_the_disk_fails_nothing_is_acknowledged_and_the_next_try_may_succeed(ledger: Ledger) -> None:
    told: list[Outcome] = []
    full = sqlite3.OperationalError("database or disk is full")

    with pytest.raises(UnavailableError, match="disk is full"):
        await ledger.run(partial(create, name="lost", failure=full), told.append)
    assert told == []
    await ledger.run(partial(create, name="kept"), told.append)

    assert len(told) == 1
    assert await names(ledger) == ["kept"]


async def test_commits_are_told_in_the_order_of_asking(ledger: Ledger) -> None:
    told: list[int] = []

    async def ask(number: int) -> None:
        await ledger.run(partial(create, name=f"{number}"), lambda _: told.append(number))

    await asyncio.gather(*(ask(number) for number in range(1_200)))

    assert told == list(range(1_200))


async def test_closing_finishes_what_was_asked_for(folder: Path) -> None:
    ledger = Ledger(path=folder / "sandbox.db")
    await ledger.open()
    asked = [asyncio.ensure_future(ledger.run(partial(create, name=f"{i}"), ignore)) for i in range(90)]
    await asyncio.sleep(0)
    await ledger.close()
    assert all(isinstance(outcome, Outcome) for outcome in await asyncio.gather(*asked))
    with pytest.raises(UnavailableError, match="closed"):
        await ledger.run(partial(create, name="late"), ignore)

    await ledger.open()
    assert await names(ledger) == [f"{i}" for i in range(90)]
    await ledger.close()


async def test_an_asker_who_gives_up_does_not_undo_the_operation(ledger: Ledger) -> None:
    asking = asyncio.ensure_future(ledger.run(partial(create, name="stored anyway"), ignore))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert await names(ledger) == ["stored anyway"]
