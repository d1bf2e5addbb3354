"""One's own account: password, sessions, second factor, tokens."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from nadia.accounts.models import ApiToken, Role
from nadia.web.browsers import browser_name
from nadia.web.context import web_context
from nadia.web.fields import Code, Password, RequestBody, RowId, TokenName
from nadia.web.identity import InPerson, Viewer, session_cookie
from nadia.web.pages import page

router = APIRouter(tags=["me"])


class Me(BaseModel):
    """Who asks, and the token that their page sends along with every change."""

    id: int
    name: str
    role: Role
    has_password: bool
    has_second_factor: bool
    csrf_token: str | None


class PasswordChange(RequestBody):
    """The password until now (empty if there is none) and the one from now on."""

    current_password: Password = ""
    new_password: Password


class PasswordProof(RequestBody):
    """One's own password; empty if there is none."""

    password: Password = ""


class CodeProof(RequestBody):
    """A code of the authenticator app, or a recovery code."""

    code: Code


class EnrolmentOut(BaseModel):
    """What the authenticator app needs."""

    secret: str
    uri: str


class RecoveryCodes(BaseModel):
    """Codes that stand in for the authenticator app, each once; shown this once."""

    codes: list[str]


class NewToken(RequestBody):
    """What a token is for and what it may do."""

    name: TokenName
    role: Role = Role.REVIEWER


class TokenOut(BaseModel):
    """A token, without the token itself."""

    id: int
    name: str
    role: Role
    created_at: datetime
    last_used_at: datetime | None


class CreatedToken(TokenOut):
    """A token just made; ``secret`` is shown this once."""

    secret: str


class Ended(BaseModel):
    """How many sessions ended."""

    sessions: int


@router.get("/me", include_in_schema=False)
async def me_page(request: Request, who: Viewer) -> Response:
    """Show one's own account."""
    accounts = web_context(request).accounts
    return await page(
        request,
        "me.html",
        account=who.account,
        sessions=await accounts.sessions.of(who.account, current=session_cookie(request)),
        tokens=await accounts.tokens.of(who.account),
        codes_left=await accounts.second_factor.recovery_codes_left(who.account),
        browser_name=browser_name,
        roles=[role for role in Role if who.account.role.covers(role)],
    )


@router.get("/api/v1/me")
async def me(request: Request, who: Viewer) -> Me:
    """Say who asks."""
    secret = session_cookie(request) if who.via == "session" else None
    return Me(
        id=who.account.id,
        name=who.account.name,
        role=who.role,
        has_password=who.account.has_password,
        has_second_factor=who.account.has_second_factor,
        csrf_token=web_context(request).csrf.token_for(secret) if secret else None,
    )


@router.put("/api/v1/me/password", status_code=204)
async def change_password(request: Request, who: InPerson, body: PasswordChange) -> None:
    """Change one's password; one's other sessions end, one's tokens are revoked."""
    await web_context(request).accounts.change_password(
        who.account,
        current=body.current_password,
        new=body.new_password,
        keep_session=session_cookie(request) or "",
    )


@router.delete("/api/v1/me/sessions")
async def end_other_sessions(request: Request, who: InPerson) -> Ended:
    """End all one's sessions but this one, and revoke one's tokens."""
    count = await web_context(request).accounts.sessions.revoke_all(
        who.account, actor=who.actor, keep=session_cookie(request)
    )
    return Ended(sessions=count)


@router.post("/api/v1/me/second-factor")
async def enrol(request: Request, who: InPerson, body: PasswordProof) -> EnrolmentOut:
    """Begin to enrol a second factor."""
    enrolment = await web_context(request).accounts.second_factor.enrol(who.account, password=body.password)
    return EnrolmentOut(secret=enrolment.secret, uri=enrolment.uri)


@router.put("/api/v1/me/second-factor")
async def confirm(request: Request, who: InPerson, body: CodeProof) -> RecoveryCodes:
    """Confirm it with a first code; from now on logging in asks for one."""
    codes = await web_context(request).accounts.second_factor.confirm(who.account, body.code, actor=who.actor)
    return RecoveryCodes(codes=codes)


@router.post("/api/v1/me/second-factor/removal", status_code=204)
async def remove_second_factor(request: Request, who: InPerson, body: CodeProof) -> None:
    """Remove the second factor."""
    await web_context(request).accounts.second_factor.remove(who.account, body.code, actor=who.actor)


@router.post("/api/v1/me/recovery-codes")
async def renew_recovery_codes(request: Request, who: InPerson, body: CodeProof) -> RecoveryCodes:
    """Replace the recovery codes."""
    codes = await web_context(request).accounts.second_factor.renew_recovery_codes(
        who.account, body.code, actor=who.actor
    )
    return RecoveryCodes(codes=codes)


@router.get("/api/v1/me/tokens")
async def tokens(request: Request, who: Viewer) -> list[TokenOut]:
    """List one's tokens."""
    return [token_out(token) for token in await web_context(request).accounts.tokens.of(who.account)]


@router.post("/api/v1/me/tokens", status_code=201)
async def create_token(request: Request, who: InPerson, body: NewToken) -> CreatedToken:
    """Make a token."""
    secret, token = await web_context(request).accounts.tokens.create(
        who.account, name=body.name, role=body.role, actor=who.actor
    )
    return CreatedToken(secret=secret, **token_out(token).model_dump())


@router.delete("/api/v1/me/tokens/{token_id}", status_code=204)
async def revoke_token(request: Request, who: InPerson, token_id: RowId) -> None:
    """Revoke one of one's tokens."""
    await web_context(request).accounts.tokens.revoke(who.account, token_id, actor=who.actor)


def token_out(token: ApiToken) -> TokenOut:
    """Write a token for the API."""
    return TokenOut(
        id=token.id,
        name=token.name,
        role=token.role,
        created_at=token.created_at,
        last_used_at=token.last_used_at,
    )
