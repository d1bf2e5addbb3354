"""The sandbox page: a phone on which you are a customer, for trying NADIA out. This machine only."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from nadia.telegram.gateway import MessageKind
from nadia.telegram.sandbox.requests import Attachment
from nadia.telegram.sandbox.wire import ChatMessage, Customer
from nadia.web.fields import LARGEST_ID, RequestBody, RowId
from nadia.web.identity import Viewer
from nadia.web.legible import legible_name
from nadia.web.local import require_local
from nadia.web.pages import page
from nadia.web.sandbox_chat import SandboxChat
from nadia.web.sse import event_stream

_SUGGESTED_NAMES: Final = ("Ana Ruiz", "Tom Becker", "Mei Tanaka", "Omar Haddad", "Lucía Prado", "Jonas Weber")


class NewCustomer(RequestBody):
    """Someone who will write to the desk."""

    name: str = Field(min_length=1, max_length=64, pattern=r"\S")
    username: str | None = Field(None, pattern=r"^[A-Za-z][A-Za-z0-9_]{3,31}$")


class MessageIn(RequestBody):
    """What the customer writes."""

    text: str = Field(max_length=4096, description="Other kinds than text may come without words.")
    kind: MessageKind = MessageKind.TEXT
    attachment: Attachment | None = Field(None, description="What is known of the file; there is no file itself.")


class EditIn(RequestBody):
    """What a message says from now on."""

    text: str = Field(max_length=4096)


class CustomersOut(BaseModel):
    """Everybody who can write in the sandbox."""

    customers: list[Customer]


class MessagesOut(BaseModel):
    """A page of the chat, oldest first."""

    messages: list[ChatMessage]


def sandbox_router(*, chat: SandboxChat) -> APIRouter:
    """Build the sandbox page's routes; add them only when the sandbox is the configured Telegram.

    Parameters
    ----------
    chat : SandboxChat
        The customers' side of the sandbox.
    """
    router = APIRouter(tags=["sandbox"], dependencies=[Depends(require_local)])

    @router.get("/sandbox", include_in_schema=False)
    async def sandbox_page(
        request: Request, _: Viewer, customer: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None
    ) -> Response:
        """Show the customers, and the chat of one of them."""
        customers = await chat.customers()
        chosen = next((one for one in customers if one.user_id == customer), None)
        taken = {one.name for one in customers}
        return await page(
            request,
            "sandbox.html",
            customers=[(one.user_id, legible_name(one.name)) for one in customers],
            chosen=chosen,
            chosen_name=legible_name(chosen.name) if chosen else "",
            missing=customer is not None and chosen is None,
            suggested=next((name for name in _SUGGESTED_NAMES if name not in taken), ""),
        )

    @router.get("/api/v1/sandbox/customers")
    async def list_customers(_: Viewer) -> CustomersOut:
        """List the sandbox's customers."""
        return CustomersOut(customers=await chat.customers())

    @router.post("/api/v1/sandbox/customers", status_code=201)
    async def create_customer(_: Viewer, body: NewCustomer) -> Customer:
        """Add a customer."""
        return await chat.create(name=body.name.strip(), username=body.username)

    @router.get("/api/v1/sandbox/customers/{user_id}/messages")
    async def history(
        _: Viewer, user_id: RowId, before: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None
    ) -> MessagesOut:
        """Show the newest page of a customer's chat, or the page before a message."""
        return MessagesOut(messages=await chat.history(user_id, before=before))

    @router.post("/api/v1/sandbox/customers/{user_id}/messages", status_code=201)
    async def write(_: Viewer, user_id: RowId, body: MessageIn) -> ChatMessage:
        """Write to the desk in a customer's name."""
        return await chat.write(user_id, body.text, kind=body.kind, attachment=body.attachment)

    @router.patch("/api/v1/sandbox/customers/{user_id}/messages/{message_id}", status_code=204)
    async def edit(_: Viewer, user_id: RowId, message_id: RowId, body: EditIn) -> None:
        """Change one of the customer's own messages."""
        await chat.edit(user_id, message_id, body.text)

    @router.delete("/api/v1/sandbox/customers/{user_id}/messages/{message_id}", status_code=204)
    async def delete(_: Viewer, user_id: RowId, message_id: RowId) -> None:
        """Delete a message for both sides."""
        await chat.delete(user_id, message_id)

    @router.post("/api/v1/sandbox/customers/{user_id}/typing", status_code=204)
    async def typing(_: Viewer, user_id: RowId) -> None:
        """Show the desk that the customer writes; good for six seconds."""
        await chat.show_typing(user_id)

    @router.get(
        "/api/v1/sandbox/customers/{user_id}/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}, "description": "The stream; it has no end of its own."}},
    )
    async def events(request: Request, _: Viewer, user_id: RowId) -> StreamingResponse:
        """Follow a customer's chat: ``ready``, ``message``, ``edited``, ``deleted``, ``typing``, ``read``, ``away``."""
        await chat.require(user_id)
        return event_stream(request, chat.follow(user_id))

    return router
