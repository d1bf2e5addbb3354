"""Inviting, resetting, disabling, roles and tokens, and what is on record about them."""

import asyncio

import pytest

from nadia.accounts.errors import UnauthenticatedError
from nadia.accounts.models import Account, Role
from nadia.accounts.service import AccountService
from nadia.errors import ConflictError, InvalidInputError, NotFoundError, RefusedError
from nadia.postgres.database import Database
from support.account_fixtures import PASSWORD, ManualClock, audit_actions

OTHER_PASSWORD = "eleven silent harbours"


async def log_in(accounts: AccountService, name: str, password: str = PASSWORD) -> str:
    return (await accounts.sessions.log_in(name=name, password=password, address="a")).secret


async def test_of_several_first_admins_made_at_once_one_exists(accounts: AccountService) -> None:
    outcomes = await asyncio.gather(
        *(accounts.create_first_admin(f"admin{number}", actor="system") for number in range(4)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Account) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == 3
    assert len(await accounts.overview()) == 1


async def test_an_invitation_lets_its_owner_choose_a_password_once(accounts: AccountService, admin: Account) -> None:
    link = await accounts.invite(name="priya", role=Role.VIEWER, actor=admin.reference)
    account, session = await accounts.set_password_by_link(link.secret, PASSWORD)
    assert session is not None
    assert (await accounts.sessions.resolve(session.secret)).role is Role.VIEWER
    assert account.name == "priya"
    with pytest.raises(UnauthenticatedError):
        await accounts.set_password_by_link(link.secret, OTHER_PASSWORD)
    assert await log_in(accounts, "priya")


async def test_a_bad_password_leaves_the_link_good(accounts: AccountService, admin: Account) -> None:
    link = await accounts.invite(name="priya", role=Role.VIEWER, actor=admin.reference)
    with pytest.raises(InvalidInputError, match="password"):
        await accounts.set_password_by_link(link.secret, "short")
    assert await accounts.set_password_by_link(link.secret, PASSWORD)


@pytest.mark.parametrize("name", ["MARTA", "marta"])
async def test_a_name_is_taken_in_any_case(accounts: AccountService, admin: Account, name: str) -> None:
    with pytest.raises(ConflictError, match="already"):
        await accounts.invite(name=name, role=Role.VIEWER, actor=admin.reference)


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "müller", "a\0", "x" * 65, "a\n"])
async def test_a_name_that_could_mislead_is_refused(accounts: AccountService, admin: Account, name: str) -> None:
    with pytest.raises(InvalidInputError) as problem:
        await accounts.invite(name=name, role=Role.VIEWER, actor=admin.reference)
    assert problem.value.field == "name"


async def test_a_reset_ends_every_session_and_the_old_password(accounts: AccountService, reviewer: Account) -> None:
    session = await log_in(accounts, "jonas")
    link = await accounts.reset(reviewer, actor="account:1")
    assert await accounts.sessions.resolve(session)  # until the link is used
    await accounts.set_password_by_link(link.secret, OTHER_PASSWORD)
    with pytest.raises(UnauthenticatedError):
        await accounts.sessions.resolve(session)
    with pytest.raises(UnauthenticatedError):
        await log_in(accounts, "jonas")
    assert await log_in(accounts, "jonas", OTHER_PASSWORD)


async def test_a_reset_does_not_get_around_the_second_factor(
    accounts: AccountService, reviewer: Account, clock: ManualClock
) -> None:
    import pyotp

    enrolment = await accounts.second_factor.enrol(reviewer, password=PASSWORD)
    await accounts.second_factor.confirm(reviewer, pyotp.TOTP(enrolment.secret).at(clock()), actor="x")
    link = await accounts.reset(reviewer, actor="x")
    _, session = await accounts.set_password_by_link(link.secret, OTHER_PASSWORD)
    assert session is None


async def test_changing_the_password_ends_the_other_sessions(accounts: AccountService, reviewer: Account) -> None:
    here, there = await log_in(accounts, "jonas"), await log_in(accounts, "jonas")
    with pytest.raises(InvalidInputError, match="current_password"):
        await accounts.change_password(reviewer, current="wrong", new=OTHER_PASSWORD, keep_session=here)
    await accounts.change_password(reviewer, current=PASSWORD, new=OTHER_PASSWORD, keep_session=here)
    assert await accounts.sessions.resolve(here)
    with pytest.raises(UnauthenticatedError):
        await accounts.sessions.resolve(there)


async def test_a_disabled_account_can_do_nothing_until_enabled(accounts: AccountService, reviewer: Account) -> None:
    session = await log_in(accounts, "jonas")
    token, _ = await accounts.tokens.create(reviewer, name="export", role=Role.VIEWER, actor="x")
    link = await accounts.login_link(reviewer, actor="x")
    await accounts.disable(reviewer, actor="account:1")

    with pytest.raises(UnauthenticatedError):
        await accounts.sessions.resolve(session)
    with pytest.raises(UnauthenticatedError):
        await accounts.tokens.resolve(token)
    with pytest.raises(UnauthenticatedError):
        await accounts.sessions.log_in_by_link(link.secret)
    with pytest.raises(UnauthenticatedError):
        await log_in(accounts, "jonas")
    with pytest.raises(RefusedError, match="disabled"):
        await accounts.reset(reviewer, actor="account:1")

    await accounts.enable(reviewer, actor="account:1")
    assert await log_in(accounts, "jonas")
    with pytest.raises(UnauthenticatedError):
        await accounts.tokens.resolve(token)


@pytest.mark.parametrize("how", ["disabled", "sessions ended", "password changed", "password reset"])
async def test_what_answers_a_leak_revokes_tokens_too_and_says_so(
    accounts: AccountService, reviewer: Account, admin: Account, account_database: Database, how: str
) -> None:
    here = await log_in(accounts, "jonas")
    secret, _ = await accounts.tokens.create(reviewer, name="export", role=Role.VIEWER, actor="x")
    others, _ = await accounts.tokens.create(admin, name="export", role=Role.VIEWER, actor="x")
    if how == "disabled":
        await accounts.disable(reviewer, actor="x")
    elif how == "sessions ended":
        assert await accounts.sessions.revoke_all(reviewer, actor="x", keep=here) == 1  # the invitation's
    elif how == "password changed":
        await accounts.change_password(reviewer, current=PASSWORD, new=OTHER_PASSWORD, keep_session=here)
    else:
        link = await accounts.reset(reviewer, actor="x")
        await accounts.set_password_by_link(link.secret, OTHER_PASSWORD)
    with pytest.raises(UnauthenticatedError):
        await accounts.tokens.resolve(secret)
    assert await accounts.tokens.resolve(others)
    async with account_database.connection() as conn:
        row = await (
            await conn.execute("SELECT after FROM audit_log WHERE after::text LIKE '%tokens%' ORDER BY id")
        ).fetchall()
    (after,) = [found["after"] for found in row if found["after"].get("ended", found["after"])["tokens"]]
    assert after.get("ended", after)["tokens"] == 1


async def test_role_and_state_change_together_or_not_at_all(
    accounts: AccountService, admin: Account, reviewer: Account
) -> None:
    changed = await accounts.change(reviewer, role=Role.VIEWER, active=False, actor="x")
    assert (changed.role, changed.active) == (Role.VIEWER, False)
    with pytest.raises(ConflictError, match="last admin"):
        await accounts.change(admin, role=Role.ADMIN, active=False, actor="x")
    assert await accounts.get(admin.id) == admin
    assert await accounts.change(admin, actor="x") == admin


async def test_the_last_admin_stays(accounts: AccountService, admin: Account, reviewer: Account) -> None:
    with pytest.raises(ConflictError, match="last admin"):
        await accounts.disable(admin, actor="account:1")
    with pytest.raises(ConflictError, match="last admin"):
        await accounts.change_role(admin, Role.REVIEWER, actor="account:1")
    promoted = await accounts.change_role(reviewer, Role.ADMIN, actor="account:1")
    await accounts.disable(admin, actor="account:2")
    with pytest.raises(ConflictError, match="last admin"):
        await accounts.change_role(promoted, Role.VIEWER, actor="account:2")


async def test_two_admins_who_remove_each_other_at_once_leave_one(
    accounts: AccountService, admin: Account, reviewer: Account
) -> None:
    other = await accounts.change_role(reviewer, Role.ADMIN, actor="x")
    outcomes = await asyncio.gather(
        accounts.disable(admin, actor="x"),
        accounts.change_role(other, Role.VIEWER, actor="x"),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == 1
    left = [row.account for row in await accounts.overview() if row.account.active and row.account.role is Role.ADMIN]
    assert len(left) == 1


async def test_a_token_can_do_no_more_than_its_owner_today(accounts: AccountService, reviewer: Account) -> None:
    with pytest.raises(RefusedError, match="admin"):
        await accounts.tokens.create(reviewer, name="too much", role=Role.ADMIN, actor="x")
    secret, _ = await accounts.tokens.create(reviewer, name="export", role=Role.REVIEWER, actor="x")
    assert secret.startswith("nadia_")
    await accounts.change_role(reviewer, Role.VIEWER, actor="x")
    assert (await accounts.tokens.resolve(secret)).role is Role.VIEWER


async def test_a_token_remembers_when_it_was_used_and_is_void_once_revoked(
    accounts: AccountService, reviewer: Account, clock: ManualClock
) -> None:
    secret, token = await accounts.tokens.create(reviewer, name="export", role=Role.VIEWER, actor="x")
    await accounts.tokens.resolve(secret)
    assert (await accounts.tokens.of(reviewer))[0].last_used_at == clock()
    await accounts.tokens.revoke(reviewer, token.id, actor="x")
    with pytest.raises(UnauthenticatedError):
        await accounts.tokens.resolve(secret)
    with pytest.raises(NotFoundError):
        await accounts.tokens.revoke(reviewer, token.id, actor="x")


async def test_nobody_revokes_another_ones_token_by_its_number(
    accounts: AccountService, admin: Account, reviewer: Account
) -> None:
    secret, token = await accounts.tokens.create(reviewer, name="export", role=Role.VIEWER, actor="x")
    with pytest.raises(NotFoundError):
        await accounts.tokens.revoke(admin, token.id, actor="x")
    assert await accounts.tokens.resolve(secret)


async def test_every_change_is_on_record_with_who_and_what(
    accounts: AccountService, admin: Account, reviewer: Account, account_database: Database
) -> None:
    await accounts.change_role(reviewer, Role.VIEWER, actor=admin.reference)
    async with account_database.connection() as conn:
        row = await (await conn.execute("SELECT * FROM audit_log ORDER BY id DESC LIMIT 1")).fetchone()
    assert row is not None
    assert (row["actor"], row["action"], row["subject"]) == (
        admin.reference,
        "account.role_changed",
        reviewer.reference,
    )
    assert (row["before"], row["after"]) == ({"role": "reviewer"}, {"role": "viewer"})

    await accounts.disable(reviewer, actor=admin.reference)
    await accounts.enable(reviewer, actor=admin.reference)
    _, token = await accounts.tokens.create(reviewer, name="t", role=Role.VIEWER, actor=admin.reference)
    await accounts.tokens.revoke(reviewer, token.id, actor=admin.reference)
    await accounts.sessions.revoke_all(reviewer, actor=admin.reference)
    await accounts.second_factor.remove_for(reviewer, actor=admin.reference)
    assert (await audit_actions(account_database))[-6:] == [
        "account.disabled",
        "account.enabled",
        "account.token_created",
        "account.token_revoked",
        "account.sessions_revoked",
        "account.second_factor_removed",
    ]
