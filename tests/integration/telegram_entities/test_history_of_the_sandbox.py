"""Histories and dialogs of a whole network are read completely, also while it is written to and asks for pauses."""

import asyncio

import pytest

from nadia.telegram.history import Changed, Gone, Missing, Recorded, TelegramHistoryManager
from nadia.telegram.limiter import REQUESTS_PER_SECOND, RequestLimiter
from nadia.telegram.sandbox.faults import FaultKind
from nadia.telegram.sandbox.gateway import SandboxGateway
from support.sandbox_network import ACCOUNT, SandboxNetwork
from support.sleeping import SleepingClock


@pytest.fixture
def clock() -> SleepingClock:
    return SleepingClock()


@pytest.fixture
def limiter(clock: SleepingClock) -> RequestLimiter:
    return RequestLimiter(account_id=ACCOUNT, monotonic=clock, sleep=clock.sleep)


@pytest.fixture
async def gateway(network: SandboxNetwork, limiter: RequestLimiter) -> SandboxGateway:
    gateway = network.gateway(limiter=limiter)
    await gateway.connect(None)
    return gateway


@pytest.fixture
def manager(gateway: SandboxGateway, limiter: RequestLimiter) -> TelegramHistoryManager:
    return TelegramHistoryManager(gateway=gateway, limiter=limiter)


async def missed(manager: TelegramHistoryManager, chat_id: int, after_id: int = 0) -> list[str]:
    return [found.message.text async for found in manager.get_missed_messages(chat_id, after_id)]


async def test_missed_messages_of_both_sides_come_in_order(
    network: SandboxNetwork, manager: TelegramHistoryManager
) -> None:
    ann, bob = await network.add_customer("Ann"), await network.add_customer("Bob")
    known = await network.write(ann, "on record")
    for number in range(120):
        await network.write(ann, f"{number}")
        await network.write(bob, "not Ann's")
    await network.post_from_phone(ann, "from the phone")
    found = [found.message async for found in manager.get_missed_messages(ann, known)]
    assert [message.text for message in found] == [*map(str, range(120)), "from the phone"]
    assert [message.outgoing for message in found] == [False] * 120 + [True]


async def test_a_flood_wait_in_the_middle_loses_nothing(
    network: SandboxNetwork, manager: TelegramHistoryManager, clock: SleepingClock
) -> None:
    ann = await network.add_customer("Ann")
    for number in range(230):
        await network.write(ann, f"{number}")
    await network.control.force(FaultKind.FLOOD_WAIT, method="account.history", seconds=40)
    begun = clock.now
    assert await missed(manager, ann) == [*map(str, range(230))]
    assert 40 <= clock.now - begun < 42


async def test_dialogs_above_the_cursor_are_found_while_customers_write(
    network: SandboxNetwork, manager: TelegramHistoryManager
) -> None:
    quiet = [await network.add_customer(f"Quiet {number}") for number in range(3)]
    for customer in quiet:
        cursor = await network.write(customer, "long ago")
    loud = [await network.add_customer(f"Loud {number}") for number in range(130)]
    for customer in loud:
        await network.write(customer, "new")
    await network.control.force(FaultKind.FLOOD_WAIT, method="account.dialogs", seconds=3)
    found: set[int] = set()
    async for dialog in manager.scan_all_dialogs(above=cursor):
        if len(found) == 50:  # moves to the head, past the reader
            await network.write(loud[0], "newer")
        found.add(dialog.chat_id)
    assert found == set(loud)


async def test_edits_and_deletions_that_nobody_told_of_are_noticed(
    network: SandboxNetwork, manager: TelegramHistoryManager
) -> None:
    ann = await network.add_customer("Ann")
    ids = [await network.write(ann, text) for text in ("kept", "edited", "deleted", "missed")]
    await network.edit(ann, ids[1], "edited!")
    await network.delete(ann, [ids[2]])
    recorded = [Recorded(message_id, None) for message_id in ids[:3]]
    match [difference async for difference in manager.verify_message_continuity(ann, recorded)]:
        case [Changed(found=changed), Gone(message_id=gone), Missing(found=missing)]:
            assert (changed.message.text, gone, missing.message.text) == ("edited!", ids[2], "missed")
        case other:
            pytest.fail(f"{other}")


async def test_several_readers_share_what_the_account_may_ask(
    network: SandboxNetwork, gateway: SandboxGateway, limiter: RequestLimiter, clock: SleepingClock
) -> None:
    customers = [await network.add_customer(f"{number}") for number in range(10)]
    for customer in customers:
        await network.write(customer, f"from {customer}")
    begun = clock.now
    managers = [TelegramHistoryManager(gateway=gateway, limiter=limiter) for _ in customers]
    texts = await asyncio.gather(
        *(missed(manager, customer) for manager, customer in zip(managers, customers, strict=True))
    )
    assert texts == [[f"from {customer}"] for customer in customers]
    requests = 2 * len(customers)  # one for the message, one that finds nothing more
    assert clock.now - begun == pytest.approx((requests - 1) / REQUESTS_PER_SECOND)


async def test_a_summary_is_of_both_sides(network: SandboxNetwork, manager: TelegramHistoryManager) -> None:
    ann = await network.add_customer("Ann")
    await network.write(ann, "Where is it?")
    await network.post_from_phone(ann, "On its way.")
    summary = await manager.get_user_chat_history_summary(ann)
    assert [line.split(") ", 1)[1] for line in summary.splitlines()[1:]] == [
        'customer: "Where is it?"',
        'desk: "On its way."',
    ]
