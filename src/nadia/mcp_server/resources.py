"""What an assistant may read: health, queues, alerts, and one conversation."""

import json
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, TypeAlias

from nadia.alerting.models import Alert, Silence
from nadia.alerting.service import Alerts
from nadia.conversations.messages import Message, Messages
from nadia.errors import NotFoundError
from nadia.health.checker import HealthChecker
from nadia.mcp_server.answers import MOST_CHARACTERS, UNTRUSTED, quoted, said
from nadia.mcp_server.database import LazyDatabase

OpensChecker: TypeAlias = Callable[[], AbstractAsyncContextManager[HealthChecker]]

CONVERSATION_TEMPLATE: Final = "nadia://conversations/{id}"
MOST_ALERTS: Final = 100
MOST_MESSAGES: Final = 100

_CONVERSATION: Final = re.compile(r"nadia://conversations/([1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class OperatorResource:
    """One thing to read, as JSON."""

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

    async def read(self, uri: str) -> str:
        """Return what is at an address, as JSON.

        Raises
        ------
        NotFoundError
            If there is nothing.
        UnavailableError
            If what it needs is away.
        """
        for resource in self.fixed:
            if uri == resource.uri:
                return _as_json(await resource.read())
        if match := _CONVERSATION.fullmatch(uri):
            return _as_json(await self._conversation(int(match[1])))
        known = ", ".join([*(resource.uri for resource in self.fixed), CONVERSATION_TEMPLATE])
        raise NotFoundError("there is no such resource", hint=f"there are {known}")

    async def _health(self) -> object:
        async with self._opens_checker() as checker:
            return (await checker.report()).model_dump(mode="json")

    async def _queues(self) -> object:
        async with self._opens_checker() as checker:
            return {"queues": [result.model_dump(mode="json") for result in await checker.check_message_queues()]}

    async def _alerts(self) -> object:
        alerts = Alerts(database=await self._database.get())
        firing, silences = await alerts.current(), await alerts.silences()
        return {
            "firing": [_alert(alert) for alert in firing[:MOST_ALERTS]],
            "left_out": max(0, len(firing) - MOST_ALERTS),
            "silences": [_silence(silence) for silence in silences[:MOST_ALERTS]],
        }

    async def _conversation(self, conversation_id: int) -> object:
        messages = Messages(database=await self._database.get())
        history = await messages.history(conversation_id, limit=MOST_MESSAGES + 1)
        shown: list[dict[str, object]] = []
        budget = MOST_CHARACTERS
        for message in reversed(history.messages[-MOST_MESSAGES:]):
            view = _message(message)
            budget -= len(_as_json(view))
            if budget < 0:
                break
            shown.append(view)
        return {
            "conversation": conversation_id,
            "untrusted": UNTRUSTED,
            "messages": shown[::-1],
            "older_left_out": len(shown) < len(history.messages),
        }


def _alert(alert: Alert) -> dict[str, object]:
    return asdict(alert) | {"summary": said(alert.summary), "note": said(alert.note)}


def _silence(silence: Silence) -> dict[str, object]:
    return asdict(silence) | {"reason": said(silence.reason)}


def _message(message: Message) -> dict[str, object]:
    return {
        "id": message.id,
        "author": message.author,
        "kind": message.kind,
        "sent_at": message.sent_at,
        "edited_at": message.edited_at,
        "deleted_at": message.deleted_at,
        "batch": message.batch_id,
        # Replies as well: they may repeat what the customer wrote.
        "text": quoted(message.text),
    }


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)
