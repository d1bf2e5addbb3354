"""Quarantine as a JSON API: everything that its pages do."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from nadia.quarantine.models import Outcome, Person, Silence
from nadia.quarantine.reasons import LONGEST_REASON
from nadia.quarantine.service import Quarantine
from nadia.web.fields import LARGEST_ID, RequestBody, RowId
from nadia.web.identity import Reviewer, Viewer

MessageId = Annotated[int, Field(ge=1, le=LARGEST_ID)]


class Decision(RequestBody):
    """Why."""

    reason: Annotated[str, Field(min_length=1, max_length=LONGEST_REASON, pattern=r"\S")]


class DecisionAboutMessages(Decision):
    """Why, and about which messages."""

    messages: Annotated[list[MessageId], Field(min_length=1, max_length=500)] | None = Field(
        None, description="Held messages; all when left out. One of a parked item brings the whole item along."
    )


def quarantine_api(*, quarantine: Quarantine) -> APIRouter:
    """Build the API's routes; see `nadia.web.quarantine.quarantine_router`."""
    router = APIRouter(prefix="/api/v1/quarantine", tags=["quarantine"])

    @router.get("")
    async def silences(_: Viewer, limit: int = Query(500, ge=1, le=500)) -> list[Silence]:
        """List who is silenced, those first whose messages expire next."""
        return await quarantine.silences(limit=limit)

    @router.get("/{person_id}")
    async def person(_: Viewer, person_id: RowId) -> Person:
        """Show a customer's silence, what is held of them, and every step."""
        return await quarantine.person(person_id)

    @router.post("/{person_id}/activate")
    async def activate(who: Reviewer, person_id: RowId, body: Decision) -> Outcome:
        """Silence a customer: nothing more is drafted, approved or sent. A second time changes nothing."""
        return await quarantine.activate(person_id, reason=body.reason, actor=who.actor)

    @router.post("/{person_id}/deactivate")
    async def deactivate(who: Reviewer, person_id: RowId, body: Decision) -> Outcome:
        """Lift a silence: what is held goes to drafting. A second time changes nothing."""
        return await quarantine.deactivate(person_id, reason=body.reason, actor=who.actor)

    @router.post("/{person_id}/pass")
    async def grant_pass(who: Reviewer, person_id: RowId, body: Decision) -> Outcome:
        """Let through once what is held, or the next burst if nothing is. 409 for who is not silenced."""
        return await quarantine.grant_pass(person_id, reason=body.reason, actor=who.actor)

    @router.post("/{person_id}/release")
    async def release(who: Reviewer, person_id: RowId, body: DecisionAboutMessages) -> Outcome:
        """Let held messages through. 409 if one is not held, or not any more."""
        return await quarantine.release(person_id, message_ids=body.messages, reason=body.reason, actor=who.actor)

    @router.post("/{person_id}/discard")
    async def discard(who: Reviewer, person_id: RowId, body: DecisionAboutMessages) -> Outcome:
        """End held messages without a reply. 409 if one is not held, or not any more."""
        return await quarantine.discard(person_id, message_ids=body.messages, reason=body.reason, actor=who.actor)

    return router
