"""What an assistant may read: health, queues, alerts, and one conversation."""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from typing import Final, TypeAlias

from nadia.accounts.models import Role
from nadia.alerting.service import Alerts
from nadia.conversations.messages import Message, Messages
from nadia.errors import NotFoundError
from nadia.health.checker import HealthChecker
from nadia.health.models import HealthStatus, ProbeResult
from nadia.mcp_server.answers import MOST_CHARACTERS, UNTRUSTED, quoted, said_of
from nadia.mcp_server.caller import Caller
from nadia.mcp_server.database import LazyDatabase
from nadia.mcp_server.tools import require_role

OpensChecker: TypeAlias = Callable[[], AbstractAsyncContextManager[HealthChecker]]

CONVERSATION_TEMPLATE: Final = "nadia://conversations/{id}"
CONVERSATION_ROLE: Final = Role.REVIEWER
"""Who may read what customers wrote, as with `debug_user`; the other resources are for every role."""
MOST_ALERTS: Final = 100
MOST_MESSAGES: Final = 100

_CONVERSATION: Final = re.compile(r"nadia://conversations/([1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class OperatorResource:
    """One thing to read, as JSON; every role may."""

    uri: str
    name: str
    description: str
    read: Callable[[], Awaitable[object]]


class Resources:
    """Reads what assistants may see.

    Parameters
    ----------
    database : LazyDatabase
        Where it is.
    opens_checker : callable
        Puts a health checker together.
    """

    def __init__(self, *, database: LazyDatabase, opens_checker: OpensChecker) -> None:
        self._database = database
        self._opens_checker = opens_checker
        self.fixed: tuple[OperatorResource, ...] = (
            OperatorResource("nadia://health", "health", "What every probe of the health check finds.", self._health),
            OperatorResource(
                "nadia://queues", "queues", "What waits for a draft, for a person and to be sent.", self._queues
            ),
            OperatorResource(
                "nadia://alerts", "alerts", "What is wrong, who looks after it, and what is silenced.", self._alerts
            ),
        )

    def role_for(self, uri: str) -> Role:
        """Return who may read what is at an address."""
        return CONVERSATION_ROLE if _CONVERSATION.fullmatch(uri) else Role.VIEWER

    async def read(self, uri: str, caller: Caller) -> str:
        """Return what is at an address, as JSON.

        Raises
        ------
        NotFoundError
            If there is nothing.
        RefusedError
            If the caller's role does not suffice.
        UnavailableError
            If what it needs is away.
        """
        require_role(caller, self.role_for(uri))
        for resource in self.fixed:
            if uri == resource.uri:
                return _as_json(await resource.read())
        if match := _CONVERSATION.fullmatch(uri):
            return _as_json(await self._conversation(int(match[1])))
        known = ", ".join([*(resource.uri for resource in self.fixed), CONVERSATION_TEMPLATE])
        raise NotFoundError("there is no such resource", hint=f"there are {known}")

    async def _health(self) -> object:
        async with self._opens_checker() as checker:
            report = await checker.report()
        shown, _ = _within(_worst_first(report.probes), MOST_CHARACTERS)
        summary = report.summary
        if left_out := len(report.probes) - len(shown):
            summary += f" ({left_out} further probes are left out here)"
        # The shape stays that of the published schema.
        return said_of(report.model_dump(mode="json") | {"summary": summary, "probes": []}) | {"probes": shown}

    async def _queues(self) -> object:
        async with self._opens_checker() as checker:
            results = await checker.check_message_queues()
        shown, _ = _within(_worst_first(results), MOST_CHARACTERS)
        return {"queues": shown, "left_out": len(results) - len(shown)}

    async def _alerts(self) -> object:
        alerts = Alerts(database=await self._database.get())
        firing, silences = await alerts.current(), await alerts.silences()
        shown, left = _within((said_of(asdict(alert)) for alert in firing[:MOST_ALERTS]), MOST_CHARACTERS)
        silenced, _ = _within((said_of(asdict(silence)) for silence in silences[:MOST_ALERTS]), left)
        return {
            "firing": shown,
            "left_out": len(firing) - len(shown),
            "silences": silenced,
            "silences_left_out": len(silences) - len(silenced),
        }

    async def _conversation(self, conversation_id: int) -> object:
        messages = Messages(database=await self._database.get())
        history = await messages.history(conversation_id, limit=MOST_MESSAGES + 1)
        newest_first = (_message(message) for message in reversed(history.messages[-MOST_MESSAGES:]))
        shown, _ = _within(newest_first, MOST_CHARACTERS)
        return {
            "conversation": conversation_id,
            "untrusted": UNTRUSTED,
            "messages": shown[::-1],
            "older_left_out": len(shown) < len(history.messages),
        }


def _message(message: Message) -> dict[str, object]:
    facts = said_of(
        {
            "id": message.id,
            "author": message.author,
            "kind": message.kind,
            "sent_at": message.sent_at,
            "edited_at": message.edited_at,
            "deleted_at": message.deleted_at,
            "batch": message.batch_id,
        }
    )
    # Replies as well: they may repeat what the customer wrote.
    return facts | {"text": quoted(message.text)}


def _worst_first(results: Iterable[ProbeResult]) -> Iterator[dict[str, object]]:
    """Yield what probes found; where it is too much, what is to worry about stays."""
    order = list(HealthStatus)
    for result in sorted(results, key=lambda each: order.index(each.status), reverse=True):
        yield said_of(result.model_dump(mode="json"))


def _within(views: Iterable[dict[str, object]], budget: int) -> tuple[list[dict[str, object]], int]:
    """Return the first views, as many as a number of characters allows, and what is left of it."""
    shown: list[dict[str, object]] = []
    for view in views:
        budget -= (size := len(_as_json(view)))
        if budget < 0:
            return shown, budget + size
        shown.append(view)
    return shown, budget


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
