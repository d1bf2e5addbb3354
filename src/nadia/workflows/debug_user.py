"""`debug-user`: what happened to one customer, and what their conversation waits for."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, ClassVar, Final

from pydantic import Field

from nadia.accounts.models import Role
from nadia.clock import Clock, utc_now
from nadia.conversations.memory_entries import version_of
from nadia.errors import NotFoundError, UnavailableError
from nadia.health.models import HealthStatus
from nadia.postgres.database import Connection
from nadia.redis.connection import RedisConnection
from nadia.workflows.customer import people, state, timeline
from nadia.workflows.customer.people import MOST_CANDIDATES, Customer
from nadia.workflows.customer.state import ConversationState
from nadia.workflows.customer.timeline import Event
from nadia.workflows.report import Cell, ReportTable, WorkflowFinding, WorkflowReport
from nadia.workflows.workflow import Arguments, Effect, Inquiry, Positional

_LONGEST_TEXT: Final = 1_000
"""Characters of one text; a message of Telegram's has up to 4096."""


class DebugUserArguments(Arguments):
    """Who, and how much of them."""

    who: Annotated[str, Positional()] = Field(
        min_length=1,
        max_length=200,
        description="Telegram user id, @username, number of a conversation, or a name; person:7 and conversation:7 "
        "leave no doubt.",
    )
    limit: int = Field(200, ge=1, le=5_000, description="Most events, the last ones.")
    redact: bool = Field(False, description="Show how long names and texts are, and not the texts themselves.")


class DebugUser:
    """Puts together what PostgreSQL and Redis know of a customer.

    Parameters
    ----------
    connect : callable
        Yields a connection to PostgreSQL.
    redis : RedisConnection
        Redis; without it the answer is what PostgreSQL knows.
    clock : callable
        Returns the present.
    """

    name: ClassVar[str] = "debug-user"
    question: ClassVar[str] = "What happened to this customer, and what do they wait for?"
    arguments: ClassVar[type[Arguments]] = DebugUserArguments
    role: ClassVar[Role] = Role.REVIEWER

    def __init__(
        self,
        *,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        redis: RedisConnection,
        clock: Clock = utc_now,
    ) -> None:
        self._connect = connect
        self._redis = redis
        self._clock = clock

    def effect(self, arguments: DebugUserArguments) -> Effect:
        """Return that it only reads."""
        return Effect.NONE

    async def run(self, arguments: DebugUserArguments) -> WorkflowReport:
        """Look for the customer; raises NotFoundError if there is none."""
        inquiry = Inquiry(self, clock=self._clock)
        show = _masked if arguments.redact else _shown
        async with self._connect() as conn:
            found = await people.find(conn, arguments.who)
            if not found:
                raise NotFoundError(
                    "no customer is known by that",
                    hint="give Telegram's user id, @username, the number of a conversation, or a part of the name",
                )
            if len(found) > 1:
                return _candidates(inquiry, found, show)
            (customer,) = found
            events, is_cut = await timeline.read(conn, customer, limit=arguments.limit)
            rows = await state.states(conn, customer)
        unreachable, in_redis = [], []
        try:
            in_redis = await state.read_redis(self._redis, rows)
        except UnavailableError:
            unreachable = ["Redis"]
        known = [
            # Why a person parked an item is in that person's words.
            state.judge(
                row | {"parked_reason": show(row["parked_reason"]) if row["parked_reason"] else None},
                in_redis[position] if in_redis else None,
            )
            for position, row in enumerate(rows)
        ]
        return inquiry.report(
            f"{show(customer.name)}: {_answer(known)}",
            findings=[_finding(one) for one in known if one.status is not HealthStatus.HEALTHY],
            tables=[
                _about(customer, show),
                _now(known),
                *([_redis_table(known)] if in_redis else []),
                _timeline(events, show, limit=arguments.limit, is_cut=is_cut),
            ],
            unreachable=unreachable,
            customer_text=not arguments.redact,
        )


def _answer(known: Sequence[ConversationState]) -> str:
    if not known:
        return "has no conversation"
    first, *others = known
    more = f"; {len(others)} more with other accounts" if others else ""
    return f"conversation {first.row['id']} {first.waits_for}{more}"


def _finding(one: ConversationState) -> WorkflowFinding:
    return WorkflowFinding(status=one.status, subject=f"conversation {one.row['id']}", message=one.waits_for)


def _candidates(inquiry: Inquiry, found: Sequence[Customer], show: Callable[[str], str]) -> WorkflowReport:
    rows: list[list[Cell]] = [
        [
            f"person:{one.person_id}",
            show(one.name),
            f"@{show(one.username)}" if one.username else None,
            one.telegram_user_id,
            one.network,
            ", ".join(map(str, one.conversations)),
        ]
        for one in found
    ]
    number = f"{len(found)} customers" if len(found) < MOST_CANDIDATES else f"{MOST_CANDIDATES} customers or more"
    table = ReportTable(
        title="candidates",
        columns=["ask for", "name", "username", "Telegram user", "network", "conversations"],
        rows=rows,
    )
    return inquiry.report(
        f"{number} may be meant; ask again with one of the first column",
        tables=[table],
        status=HealthStatus.UNKNOWN,
        customer_text=show is _shown,
    )


def _about(customer: Customer, show: Callable[[str], str]) -> ReportTable:
    return ReportTable(
        title="customer",
        columns=["person", "name", "username", "Telegram user", "network"],
        rows=[
            [
                customer.person_id,
                show(customer.name),
                f"@{show(customer.username)}" if customer.username else None,
                customer.telegram_user_id,
                customer.network,
            ]
        ],
    )


def _now(known: Sequence[ConversationState]) -> ReportTable:
    rows: list[list[Cell]] = [
        [one.row["id"], one.row["telegram_account_id"], one.row["batch_id"], one.row["state"], one.waits_for]
        for one in known
    ]
    return ReportTable(title="now", columns=["conversation", "account", "batch", "state", "it"], rows=rows)


def _redis_table(known: Sequence[ConversationState]) -> ReportTable:
    rows: list[list[Cell]] = []
    for one in known:
        if (held := one.in_redis) is None:
            continue
        version = version_of(one.row["revision"], one.row["replies"])
        memory = "none" if held.memory_version is None else f"{held.memory_entries} messages"
        if held.memory_version is not None:
            memory += ", up to date" if held.memory_version == version else ", to be rebuilt by the next reader"
        rows.append(
            [
                one.row["id"],
                f"{held.burst.get('count', 0)} messages" if held.burst else "none",
                None if held.due_at is None else held.due_at.isoformat(timespec="seconds"),
                memory,
                held.memory_seconds if held.memory_version is not None else None,
                held.on_stream,
            ]
        )
    return ReportTable(
        title="in Redis",
        columns=["conversation", "burst", "over at", "memory", "kept for (seconds)", "on the stream"],
        rows=rows,
    )


def _timeline(events: Sequence[Event], show: Callable[[str], str], *, limit: int, is_cut: bool) -> ReportTable:
    rows: list[list[Cell]] = [
        [
            event.at.isoformat(timespec="milliseconds"),
            event.source,
            event.about,
            event.what,
            None if event.text is None else show(event.text),
        ]
        for event in events
    ]
    return ReportTable(
        title="timeline",
        columns=["at", "source", "about", "what", "text"],
        rows=rows,
        note=f"the last {limit}; there are older ones: --limit shows more" if is_cut else None,
    )


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}… ({len(text)} characters)"


def _masked(text: str) -> str:
    return f"[{len(text)} characters]"
