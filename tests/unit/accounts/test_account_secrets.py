"""Passwords, codes and the throttle, without a database."""

from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from nadia.accounts.errors import ThrottledError
from nadia.accounts.models import Role
from nadia.accounts.passwords import PasswordHasher, checked_password
from nadia.accounts.secrets import digest_of_code, new_recovery_code, new_secret
from nadia.accounts.throttle import AddressThrottle
from nadia.accounts.totp import SecretBox, matching_step
from nadia.errors import ConfigurationError, InvalidInputError

TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NOW = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)


def test_each_role_covers_itself_and_those_before_it() -> None:
    covered = {(one, other) for one in Role for other in Role if one.covers(other)}
    assert (Role.ADMIN, Role.VIEWER) in covered
    assert (Role.REVIEWER, Role.ADMIN) not in covered
    assert len(covered) == 6


@pytest.mark.parametrize("password", ["elevenchars", "x" * 257, "aaaaaaaabbbbbbbb", "I am Marta, hello"])
def test_a_password_that_is_easy_to_guess_is_refused(password: str) -> None:
    with pytest.raises(InvalidInputError) as problem:
        checked_password(password, name="marta")
    assert problem.value.field == "password"
    assert password not in str(problem.value)


async def test_a_password_matches_however_the_keyboard_writes_its_letters() -> None:
    hasher = PasswordHasher()
    hashed = await hasher.hash("caf\u00e9 by the harbour")
    assert await hasher.verify(hashed, "cafe\u0301 by the harbour")
    assert not await hasher.verify(hashed, "cafe by the harbour")


async def test_hashes_use_the_memory_and_passes_that_were_chosen() -> None:
    assert (await PasswordHasher().hash("seven purple lanterns")).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize("hashed", [None, "", "not a hash"])
async def test_without_a_hash_no_password_is_right(hashed: str | None) -> None:
    assert not await PasswordHasher().verify(hashed, "seven purple lanterns")


def test_secrets_do_not_repeat_and_show_what_they_are() -> None:
    assert len({new_secret() for _ in range(100)}) == 100
    assert new_secret("nadia_").startswith("nadia_")


def test_a_recovery_code_is_recognised_with_other_spaces_and_case() -> None:
    code = new_recovery_code()
    assert digest_of_code(f" {code.upper().replace('-', '')} ") == digest_of_code(code)


@given(seconds=st.integers(min_value=-300, max_value=300))
def test_a_code_is_good_within_one_step_of_its_time(seconds: int) -> None:
    totp = pyotp.TOTP(TOTP_SECRET)
    made = NOW + timedelta(seconds=seconds)
    step = matching_step(TOTP_SECRET, totp.at(made), now=NOW)
    apart = abs(int(made.timestamp()) // 30 - int(NOW.timestamp()) // 30)
    if apart <= 1:
        assert step == int(made.timestamp()) // 30
    elif totp.at(made) not in {totp.at(NOW + timedelta(seconds=30 * near)) for near in (-1, 0, 1)}:
        assert step is None


@pytest.mark.parametrize("code", ["", "١٢٣٤٥٦", "12345\ud800", "x" * 64])
def test_what_is_no_code_matches_no_step(code: str) -> None:
    assert matching_step(TOTP_SECRET, code, now=NOW) is None


def test_a_sealed_secret_opens_under_its_key_only() -> None:
    sealed = SecretBox(SecretStr("one key")).seal(TOTP_SECRET)
    assert TOTP_SECRET.encode() not in sealed
    assert SecretBox(SecretStr("one key")).open(sealed) == TOTP_SECRET
    with pytest.raises(ConfigurationError, match="secret key"):
        SecretBox(SecretStr("other key")).open(sealed)


class TestAddressThrottle:
    def setup_method(self) -> None:
        self.now = NOW
        self.throttle = AddressThrottle(clock=lambda: self.now, most=3, refill=timedelta(seconds=10))

    def spend(self, address: str, count: int = 3) -> None:
        for _ in range(count):
            self.throttle.take(address)

    def test_one_guess_comes_back_after_each_refill(self) -> None:
        self.spend("10.0.0.1")
        with pytest.raises(ThrottledError):
            self.throttle.take("10.0.0.1")
        self.now += timedelta(seconds=10)
        self.throttle.take("10.0.0.1")
        with pytest.raises(ThrottledError) as held:
            self.throttle.take("10.0.0.1")
        assert held.value.retry_after == 10

    def test_asking_whether_one_is_left_takes_none(self) -> None:
        for _ in range(50):
            self.throttle.check("10.0.0.1")
        self.spend("10.0.0.1")
        with pytest.raises(ThrottledError):
            self.throttle.check("10.0.0.1")

    def test_a_refused_attempt_does_not_prolong_the_wait(self) -> None:
        self.spend("10.0.0.1")
        for _ in range(50):
            with pytest.raises(ThrottledError):
                self.throttle.take("10.0.0.1")
        self.now += timedelta(seconds=10)
        self.throttle.take("10.0.0.1")

    def test_a_guess_given_back_can_be_made_again(self) -> None:
        self.spend("10.0.0.1")
        self.throttle.give_back("10.0.0.1")
        self.throttle.take("10.0.0.1")

    def test_one_network_of_ipv6_is_one_address(self) -> None:
        self.spend("2001:db8::1")
        with pytest.raises(ThrottledError):
            self.throttle.take("2001:db8::ffff")
        self.throttle.take("2001:db8:0:1::1")

    def test_an_ipv4_address_written_as_ipv6_is_the_same(self) -> None:
        self.spend("::ffff:10.0.0.1")
        with pytest.raises(ThrottledError):
            self.throttle.take("10.0.0.1")
