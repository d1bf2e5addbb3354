"""Everybody's accounts, for admins.

What changes who may do what, or throws people out, is done in person; a token may look and revoke tokens.
"""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from nadia.accounts.models import Account, AccountOverview, IssuedLink, LinkPurpose, Role
from nadia.web.context import web_context
from nadia.web.fields import AccountName, RequestBody, RowId
from nadia.web.identity import Admin, AdminInPerson
from nadia.web.me_routes import Ended, TokenOut, token_out
from nadia.web.pages import page

router = APIRouter(tags=["accounts"])


class AccountOut(BaseModel):
    """An account."""

    id: int
    name: str
    role: Role
    active: bool
    has_password: bool
    has_second_factor: bool
    created_at: datetime


class AccountRow(AccountOut):
    """An account with what an admin wants to see beside it."""

    sessions: int
    last_seen_at: datetime | None
    locked_until: datetime | None


class Invitation(RequestBody):
    """Whom to invite."""

    name: AccountName
    role: Role


class AccountChange(RequestBody):
    """What to change; what is left out stays."""

    role: Role | None = None
    active: bool | None = None


class LinkOut(BaseModel):
    """A one-time link to hand over; shown this once."""

    account: AccountOut
    purpose: LinkPurpose
    url: str
    expires_at: datetime


@router.get("/accounts", include_in_schema=False)
async def accounts_page(request: Request, who: Admin) -> Response:
    """Show everybody's accounts."""
    return await page(request, "accounts.html", overview=await web_context(request).accounts.overview(), me=who.account)


@router.get("/api/v1/accounts")
async def list_accounts(request: Request, _: Admin) -> list[AccountRow]:
    """List all accounts."""
    return [_row_out(row) for row in await web_context(request).accounts.overview()]


@router.post("/api/v1/accounts", status_code=201)
async def invite(request: Request, who: AdminInPerson, body: Invitation) -> LinkOut:
    """Create an account and the link with which its owner chooses a password."""
    link = await web_context(request).accounts.invite(name=body.name, role=body.role, actor=who.actor)
    return _link_out(request, link)


@router.patch("/api/v1/accounts/{account_id}")
async def change(request: Request, who: AdminInPerson, account_id: RowId, body: AccountChange) -> AccountOut:
    """Change an account's role, disable or enable it: all that is asked for or nothing.

    Disabling ends its sessions and revokes its tokens.
    """
    accounts = web_context(request).accounts
    account = await accounts.get(account_id)
    return _account_out(await accounts.change(account, role=body.role, active=body.active, actor=who.actor))


@router.post("/api/v1/accounts/{account_id}/reset", status_code=201)
async def reset(request: Request, who: AdminInPerson, account_id: RowId) -> LinkOut:
    """Make a link with which the owner chooses a new password."""
    accounts = web_context(request).accounts
    return _link_out(request, await accounts.reset(await accounts.get(account_id), actor=who.actor))


@router.delete("/api/v1/accounts/{account_id}/sessions")
async def end_sessions(request: Request, who: AdminInPerson, account_id: RowId) -> Ended:
    """End all sessions of an account and revoke its tokens."""
    accounts = web_context(request).accounts
    return Ended(sessions=await accounts.sessions.revoke_all(await accounts.get(account_id), actor=who.actor))


@router.delete("/api/v1/accounts/{account_id}/second-factor", status_code=204)
async def remove_second_factor(request: Request, who: AdminInPerson, account_id: RowId) -> None:
    """Remove the second factor of someone who lost it."""
    accounts = web_context(request).accounts
    await accounts.second_factor.remove_for(await accounts.get(account_id), actor=who.actor)


@router.get("/api/v1/accounts/{account_id}/tokens")
async def list_tokens(request: Request, _: Admin, account_id: RowId) -> list[TokenOut]:
    """List the tokens of an account."""
    accounts = web_context(request).accounts
    return [token_out(token) for token in await accounts.tokens.of(await accounts.get(account_id))]


@router.delete("/api/v1/accounts/{account_id}/tokens/{token_id}", status_code=204)
async def revoke_token(request: Request, who: Admin, account_id: RowId, token_id: RowId) -> None:
    """Revoke a token of an account."""
    accounts = web_context(request).accounts
    await accounts.tokens.revoke(await accounts.get(account_id), token_id, actor=who.actor)


def _account_out(account: Account) -> AccountOut:
    return AccountOut(
        id=account.id,
        name=account.name,
        role=account.role,
        active=account.active,
        has_password=account.has_password,
        has_second_factor=account.has_second_factor,
        created_at=account.created_at,
    )


def _row_out(row: AccountOverview) -> AccountRow:
    return AccountRow(
        **_account_out(row.account).model_dump(),
        sessions=row.sessions,
        last_seen_at=row.last_seen_at,
        locked_until=row.locked_until,
    )


def _link_out(request: Request, link: IssuedLink) -> LinkOut:
    # Without a public URL the link leads to where the admin is; the host was checked against the allow-list.
    base = web_context(request).settings.public_url or str(request.base_url)
    return LinkOut(
        account=_account_out(link.account),
        purpose=link.purpose,
        url=base.rstrip("/") + link.path,
        expires_at=link.expires_at,
    )
