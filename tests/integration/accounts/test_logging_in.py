"""Who gets in, who does not, and what an attacker can learn."""

import asyncio
from contextlib import suppress

import pyotp
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from nadia.accounts.errors import SecondFactorRequiredError, ThrottledError, UnauthenticatedError
from nadia.accounts.models import Account
from nadia.accounts.service import AccountService
from nadia.accounts.sessions import NewSession
from nadia.errors import ConfigurationError, ConflictError, InvalidInputError
from nadia.postgres.database import Database
from support.account_fixtures import PASSWORD, SECRET_KEY, ManualClock, audit_actions


async def log_in(
    accounts: AccountService, name: str = "jonas", password: str = PASSWORD, code: str | None = None, address: str = "a"
) -> NewSession:
    return await accounts.sessions.log_in(name=name, password=password, code=code, address=address)


async def enrol(accounts: AccountService, account: Account, clock: ManualClock) -> tuple[pyotp.TOTP, list[str]]:
    enrolment = await accounts.second_factor.enrol(account, password=PASSWORD)
    totp = pyotp.TOTP(enrolment.secret)
    codes = await accounts.second_factor.confirm(account, totp.at(clock()), actor=account.reference)
    clock.forward(minutes=1)
    return totp, codes


async def test_name_and_password_begin_a_session_whatever_the_case_of_the_name(
    accounts: AccountService, reviewer: Account
) -> None:
    session = await log_in(accounts, name="JONAS")
    principal = await accounts.sessions.resolve(session.secret)
    assert principal.account == reviewer
    assert principal.via == "session"


async def test_only_digests_of_secrets_are_stored(
    accounts: AccountService, reviewer: Account, account_database: Database
) -> None:
    session = await log_in(accounts)
    token, _ = await accounts.tokens.create(reviewer, name="t", role=reviewer.role, actor="x")
    link = await accounts.reset(reviewer, actor="x")
    async with account_database.connection() as conn:
        dump = ""
        for table in ("accounts", "account_sessions", "account_tokens", "one_time_links", "audit_log"):
            rows = await (await conn.execute(f"SELECT {table}::text AS row FROM {table}")).fetchall()
            dump += "".join(row["row"] for row in rows)
    for secret in (session.secret, token, link.secret, PASSWORD):
        assert secret not in dump
        assert secret.encode().hex() not in dump


@pytest.mark.parametrize(
    ("name", "password"), [("jonas", "wrong wrong wrong"), ("nobody", PASSWORD), ("priya", PASSWORD)]
)
async def test_every_refusal_reads_the_same(
    accounts: AccountService, admin: Account, reviewer: Account, name: str, password: str
) -> None:
    invited = (await accounts.invite(name="priya", role=reviewer.role, actor=admin.reference)).account
    await accounts.disable(invited, actor=admin.reference)
    with pytest.raises(UnauthenticatedError, match="name, password or code is wrong") as refusal:
        await log_in(accounts, name=name, password=password)
    assert type(refusal.value) is UnauthenticatedError


async def test_after_five_wrong_guesses_the_right_password_waits_too(
    accounts: AccountService, reviewer: Account, clock: ManualClock
) -> None:
    for _ in range(5):
        with pytest.raises(UnauthenticatedError):
            await log_in(accounts, password="wrong wrong wrong")
    with pytest.raises(UnauthenticatedError):
        await log_in(accounts)
    clock.forward(seconds=31)
    assert await log_in(accounts)


async def test_the_wait_doubles_up_to_a_quarter_of_an_hour(
    accounts: AccountService, reviewer: Account, clock: ManualClock
) -> None:
    waits = []
    for _ in range(12):
        with pytest.raises(UnauthenticatedError):
            await log_in(accounts, password="wrong wrong wrong")
        row = next(row for row in await accounts.overview() if row.account == reviewer)
        waits.append((row.locked_until - clock()).total_seconds() if row.locked_until else 0)
        clock.forward(minutes=20)
    assert waits == [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900]


async def test_guesses_made_at_once_are_all_counted(
    accounts: AccountService, reviewer: Account, clock: ManualClock
) -> None:
    guesses = [log_in(accounts, password="wrong wrong wrong", address=str(number)) for number in range(20)]
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert all(isinstance(outcome, UnauthenticatedError) for outcome in outcomes)
    row = next(row for row in await accounts.overview() if row.account == reviewer)
    # five were looked at, whichever they were; the others found the account locked
    assert row.locked_until is not None
    assert (row.locked_until - clock()).total_seconds() == 30


async def test_a_success_wipes_the_guesses_before_it(accounts: AccountService, reviewer: Account) -> None:
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(UnauthenticatedError):
                await log_in(accounts, password="wrong wrong wrong")
        await log_in(accounts)


async def test_an_address_that_tries_many_names_is_held_back(accounts: AccountService, reviewer: Account) -> None:
    for number in range(30):
        with pytest.raises(UnauthenticatedError):
            await log_in(accounts, name=f"guess{number}", address="10.0.0.9")
    with pytest.raises(ThrottledError) as held:
        await log_in(accounts, address="10.0.0.9")
    assert held.value.retry_after == 20
    assert await log_in(accounts, address="10.0.0.10")


async def test_a_session_ends_when_unused_and_after_its_lifetime(
    accounts: AccountService, reviewer: Account, clock: ManualClock
) -> None:
    idle, busy = await log_in(accounts), await log_in(accounts)
    for _ in range(15):
        clock.forward(hours=11)
        await accounts.sessions.resolve(busy.secret)
    with pytest.raises(UnauthenticatedError):
        await accounts.sessions.resolve(idle.secret)
    clock.forward(hours=4)
    with pytest.raises(UnauthenticatedError):
        await accounts.sessions.resolve(busy.secret)


async def test_logging_out_ends_this_session_and_no_other(accounts: AccountService, reviewer: Account) -> None:
    here, there = await log_in(accounts), await log_in(accounts)
    await accounts.sessions.log_out(here.secret)
    with pytest.raises(UnauthenticatedError):
        await accounts.sessions.resolve(here.secret)
    assert await accounts.sessions.resolve(there.secret)


async def test_revoking_all_sessions_may_spare_the_one_that_asks(accounts: AccountService, reviewer: Account) -> None:
    here, there = await log_in(accounts), await log_in(accounts)
    # the invitation began a session as well
    assert await accounts.sessions.revoke_all(reviewer, actor="x", keep=here.secret) == 2
    assert [session.current for session in await accounts.sessions.of(reviewer, current=here.secret)] == [True]
    with pytest.raises(UnauthenticatedError):
        await accounts.sessions.resolve(there.secret)


async def test_a_login_link_works_once_even_for_two_at_once(
    accounts: AccountService, reviewer: Account, account_database: Database
) -> None:
    link = await accounts.login_link(reviewer, actor="system")
    assert link.path == f"/login#token={link.secret}"
    outcomes = await asyncio.gather(
        *(accounts.sessions.log_in_by_link(link.secret) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(outcome, NewSession) for outcome in outcomes) == 1
    assert (await audit_actions(account_database)).count("account.logged_in") == 3  # invitations of both, and this


async def test_a_login_link_is_good_for_ten_minutes(
    accounts: AccountService, reviewer: Account, clock: ManualClock
) -> None:
    link = await accounts.login_link(reviewer, actor="system")
    clock.forward(minutes=10)
    with pytest.raises(UnauthenticatedError, match="too old"):
        await accounts.sessions.log_in_by_link(link.secret)


async def test_a_newer_login_link_replaces_the_older(accounts: AccountService, reviewer: Account) -> None:
    older = await accounts.login_link(reviewer, actor="system")
    newer = await accounts.login_link(reviewer, actor="system")
    with pytest.raises(UnauthenticatedError):
        await accounts.sessions.log_in_by_link(older.secret)
    assert await accounts.sessions.log_in_by_link(newer.secret)


async def test_a_reset_link_is_no_login_link(accounts: AccountService, reviewer: Account) -> None:
    link = await accounts.reset(reviewer, actor="x")
    with pytest.raises(UnauthenticatedError):
        await accounts.sessions.log_in_by_link(link.secret)


async def test_with_a_second_factor_the_password_alone_begins_nothing(
    accounts: AccountService, reviewer: Account, clock: ManualClock
) -> None:
    totp, _ = await enrol(accounts, reviewer, clock)
    with pytest.raises(SecondFactorRequiredError):
        await log_in(accounts)
    with pytest.raises(UnauthenticatedError):
        await log_in(accounts, code="000000" if totp.at(clock()) != "000000" else "111111")
    assert await log_in(accounts, code=totp.at(clock()))


async def test_a_code_counts_once_even_for_two_at_once(
    accounts: AccountService, reviewer: Account, clock: ManualClock
) -> None:
    totp, _ = await enrol(accounts, reviewer, clock)
    code = totp.at(clock())
    outcomes = await asyncio.gather(*(log_in(accounts, code=code) for _ in range(2)), return_exceptions=True)
    assert sum(isinstance(outcome, NewSession) for outcome in outcomes) == 1
    clock.forward(seconds=30)
    with pytest.raises(UnauthenticatedError):
        await log_in(accounts, code=code)


async def test_the_code_that_confirmed_does_not_log_in_as_well(
    accounts: AccountService, reviewer: Account, clock: ManualClock
) -> None:
    totp, _ = await enrol(accounts, reviewer, clock)
    clock.forward(minutes=-1)
    with pytest.raises(UnauthenticatedError):
        await log_in(accounts, code=totp.at(clock()))


async def test_asking_without_a_code_neither_counts_nor_forgives(
    accounts: AccountService, reviewer: Account, clock: ManualClock
) -> None:
    await enrol(accounts, reviewer, clock)
    for _ in range(5):
        with pytest.raises(SecondFactorRequiredError):
            await log_in(accounts)
        with pytest.raises(UnauthenticatedError, match="wrong"):
            await log_in(accounts, code="abcdef")
    with pytest.raises(UnauthenticatedError, match="wrong"):
        await log_in(accounts)


async def test_a_recovery_code_stands_in_once_however_it_is_typed(
    accounts: AccountService, reviewer: Account, clock: ManualClock
) -> None:
    _, codes = await enrol(accounts, reviewer, clock)
    assert len(set(codes)) == 10
    typed = codes[0].upper().replace("-", " ")
    assert await log_in(accounts, code=typed)
    with pytest.raises(UnauthenticatedError):
        await log_in(accounts, code=codes[0])
    assert await accounts.second_factor.recovery_codes_left(reviewer) == 9


async def test_a_second_factor_that_is_not_confirmed_is_not_asked_for(
    accounts: AccountService, reviewer: Account
) -> None:
    await accounts.second_factor.enrol(reviewer, password=PASSWORD)
    assert await log_in(accounts)


async def test_enrolling_needs_the_password(accounts: AccountService, reviewer: Account) -> None:
    with pytest.raises(InvalidInputError, match="password"):
        await accounts.second_factor.enrol(reviewer, password="wrong wrong wrong")


async def test_guesses_of_a_logged_in_thief_are_counted_as_well(accounts: AccountService, reviewer: Account) -> None:
    for _ in range(5):
        with pytest.raises(InvalidInputError, match="is wrong"):
            await accounts.second_factor.enrol(reviewer, password="wrong wrong wrong")
    with pytest.raises(InvalidInputError, match="too often"):
        await accounts.second_factor.enrol(reviewer, password=PASSWORD)


@pytest.mark.parametrize("wipe", ["enrol", "enrol with an old page", "change password"])
async def test_knowing_the_password_buys_no_further_guesses_at_the_code(
    accounts: AccountService, reviewer: Account, clock: ManualClock, wipe: str
) -> None:
    totp, _ = await enrol(accounts, reviewer, clock)
    enrolled = await accounts.get(reviewer.id)
    looked_at = 0
    for _ in range(4):
        for _ in range(3):
            with pytest.raises(InvalidInputError, match=r"is wrong|too often") as refusal:
                await accounts.second_factor.remove(enrolled, "abcdef", actor="x")
            looked_at += "is wrong" in str(refusal.value)
        if wipe == "change password":
            with suppress(InvalidInputError):
                await accounts.change_password(enrolled, current=PASSWORD, new=PASSWORD, keep_session="")
        else:
            with suppress(InvalidInputError, ConflictError):
                await accounts.second_factor.enrol(enrolled if wipe == "enrol" else reviewer, password=PASSWORD)
    assert looked_at == 5
    with pytest.raises(InvalidInputError, match="too often"):
        await accounts.second_factor.remove(enrolled, totp.at(clock()), actor="x")


async def test_enrolling_twice_is_refused_before_the_password_is_looked_at(
    accounts: AccountService, reviewer: Account, clock: ManualClock
) -> None:
    await enrol(accounts, reviewer, clock)
    with pytest.raises(ConflictError, match="in force"):
        await accounts.second_factor.enrol(await accounts.get(reviewer.id), password="wrong wrong wrong")


async def test_the_log_says_whose_account_was_tried_also_when_it_is_locked(
    accounts: AccountService, reviewer: Account
) -> None:
    with capture_logs() as entries:
        for _ in range(6):
            with pytest.raises(UnauthenticatedError):
                await log_in(accounts, password="wrong wrong wrong")
        with pytest.raises(UnauthenticatedError) as refusal:
            await log_in(accounts, name="nobody")
    tried = [entry["account_id"] for entry in entries if entry["event"] == "accounts.login_refused"]
    assert tried == [reviewer.id] * 6 + [None]
    assert str(reviewer.id) not in str(refusal.value)


async def test_removing_the_second_factor_needs_a_code_and_voids_the_recovery_codes(
    accounts: AccountService, reviewer: Account, clock: ManualClock
) -> None:
    totp, codes = await enrol(accounts, reviewer, clock)
    enrolled = await accounts.get(reviewer.id)
    with pytest.raises(InvalidInputError):
        await accounts.second_factor.remove(enrolled, "abcdef", actor="x")
    await accounts.second_factor.remove(enrolled, totp.at(clock()), actor="x")
    assert await log_in(accounts, code=codes[0])
    assert await accounts.second_factor.recovery_codes_left(enrolled) == 0


async def test_a_second_factor_under_another_key_names_the_remedy(
    accounts: AccountService, account_database: Database, reviewer: Account, clock: ManualClock
) -> None:
    totp, _ = await enrol(accounts, reviewer, clock)
    moved = AccountService(
        database=account_database, secret_key=SecretStr(SECRET_KEY.get_secret_value()[::-1]), clock=clock
    )
    with pytest.raises(ConfigurationError, match="secret key") as problem:
        await log_in(moved, code=totp.at(clock()))
    assert "NADIA_WEB_SECRET_KEY" in str(problem.value.hint)
