"""Quarantine's pages: who is silenced, and what is held of one customer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nadia.accounts.models import Role
from nadia.clock import Clock
from nadia.quarantine.models import HeldMessage, Person, Silence, Step
from nadia.quarantine.service import Quarantine
from nadia.web.desk_words import duration
from nadia.web.fields import RowId
from nadia.web.identity import Viewer
from nadia.web.kinds import kind_label
from nadia.web.legible import legible_name, legible_text
from nadia.web.pages import page

_STEPS: Final[Mapping[Step, str]] = {
    Step.ACTIVATED: "silenced",
    Step.DEACTIVATED: "silence lifted",
    Step.PASS_GRANTED: "one-time pass granted",
    Step.PASS_USED: "pass used",
    Step.HELD: "held",
    Step.RELEASED: "released",
    Step.DISCARDED: "discarded",
    Step.EXPIRED: "expired: nobody decided in time",
}
_SOON_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class SilenceLine:
    """A silenced customer as a line of the list."""

    person_id: int
    name: str
    reason: str
    by: str
    since: datetime
    held: int
    has_pass: bool
    oldest: datetime | None
    oldest_age: str
    expires: datetime | None
    expires_in: str
    expires_soon: bool


@dataclass(frozen=True, slots=True)
class MessageLine:
    """A held message, legible."""

    id: int
    item: int | None
    account: str
    kind: str
    text: str
    deleted: bool
    sent_at: datetime
    expires_in: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """A step, in words."""

    at: datetime
    text: str
    who: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class PersonView:
    """All that a person's page shows."""

    id: int
    name: str
    username: str | None
    silence: SilenceLine | None
    messages: tuple[MessageLine, ...]
    log: tuple[LogLine, ...]


def quarantine_pages(*, quarantine: Quarantine, clock: Clock) -> APIRouter:
    """Build the pages' routes; see `nadia.web.quarantine.quarantine_router`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/quarantine")
    async def silences_page(request: Request, who: Viewer) -> Response:
        """Show who is silenced."""
        now = clock()
        lines = [_silence_line(silence, now) for silence in await quarantine.silences()]
        return await page(request, "quarantine.html", silences=lines)

    @router.get("/quarantine/{person_id}")
    async def person_page(request: Request, who: Viewer, person_id: RowId) -> Response:
        """Show what is held of a customer."""
        return await page(
            request,
            "quarantine_person.html",
            person=_person_view(await quarantine.person(person_id), clock()),
            may_decide=who.role.covers(Role.REVIEWER),
        )

    return router


def _silence_line(silence: Silence, now: datetime) -> SilenceLine:
    left = None if silence.expires_at is None else (silence.expires_at - now).total_seconds()
    return SilenceLine(
        person_id=silence.person_id,
        name=legible_name(silence.name),
        reason=legible_text(silence.reason),
        by=silence.activated_by_name,
        since=silence.activated_at,
        held=silence.held,
        has_pass=silence.pass_granted_at is not None,
        oldest=silence.oldest_held_at,
        oldest_age="" if silence.oldest_held_at is None else duration((now - silence.oldest_held_at).total_seconds()),
        expires=silence.expires_at,
        expires_in="" if left is None else duration(left),
        expires_soon=left is not None and left < _SOON_SECONDS,
    )


def _person_view(person: Person, now: datetime) -> PersonView:
    return PersonView(
        id=person.person_id,
        name=legible_name(person.name),
        username=person.username,
        silence=None if person.silence is None else _silence_line(person.silence, now),
        messages=tuple(_message_line(message, now) for message in person.messages),
        log=tuple(
            LogLine(
                at=entry.at,
                text=_STEPS[entry.step] + (f" · {_messages(entry.messages)}" if entry.messages else ""),
                who=entry.actor_name,
                reason=None if entry.reason is None else legible_text(entry.reason),
            )
            for entry in person.log
        ),
    )


def _message_line(message: HeldMessage, now: datetime) -> MessageLine:
    return MessageLine(
        id=message.message_id,
        item=message.batch_id,
        account=message.telegram_account_id,
        kind=kind_label(message.kind, message.media),
        text=legible_text(message.text),
        deleted=message.deleted_at is not None,
        sent_at=message.sent_at,
        expires_in=duration((message.expires_at - now).total_seconds()),
    )


def _messages(count: int) -> str:
    return "one message" if count == 1 else f"{count} messages"
