"""What the web's settings accept and what they lead to."""

import pytest
from pydantic import SecretStr, ValidationError

from nadia.errors import ConfigurationError
from nadia.settings.web import WebSettings, bare_host

KEY = SecretStr("k" * 32)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_on_loopback_no_secret_key_is_needed(host: str) -> None:
    settings = WebSettings(host=host)
    settings.require_startable()
    assert not settings.cookies_are_secure


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "nadia.internal"])
def test_elsewhere_a_secret_key_is_needed_and_cookies_are_secure(host: str) -> None:
    with pytest.raises(ConfigurationError, match="NADIA_WEB_SECRET_KEY"):
        WebSettings(host=host).require_startable()
    settings = WebSettings(host=host, secret_key=KEY)
    settings.require_startable()
    assert settings.cookies_are_secure
    assert not WebSettings(host=host, secret_key=KEY, secure_cookies=False).cookies_are_secure


def test_https_in_front_of_loopback_makes_cookies_secure() -> None:
    assert WebSettings(public_url="https://nadia.example.org").cookies_are_secure


def test_requests_may_be_for_the_names_that_people_use() -> None:
    settings = WebSettings(
        host="192.168.1.5", public_url="https://Nadia.Example.org:8443/", allowed_hosts=("Desk.local",), secret_key=KEY
    )
    assert {"localhost", "127.0.0.1", "[::1]", "192.168.1.5", "nadia.example.org", "desk.local"} == settings.host_names


@pytest.mark.parametrize(
    "url", ["nadia.example.org", "ftp://x.org", "https://x.org/desk", "https://", "https://x.org?a"]
)
def test_a_public_url_is_a_scheme_and_a_host(url: str) -> None:
    with pytest.raises(ValidationError, match=r"https://nadia\.example\.org"):
        WebSettings(public_url=url)


@pytest.mark.parametrize("url", ["https://marta:hunter2@x.org", "https://hunter2@x.org", "https://@x.org"])
def test_a_public_url_holds_no_password_and_is_not_shown(url: str) -> None:
    with pytest.raises(ValidationError, match="must not hold a user or password") as problem:
        WebSettings(public_url=url)
    assert "hunter2" not in str(problem.value)


def test_a_short_secret_key_is_refused_without_being_shown() -> None:
    with pytest.raises(ValidationError) as problem:
        WebSettings(secret_key=SecretStr("hunter2hunter2"))
    assert "openssl rand" in str(problem.value)
    assert "hunter2" not in str(problem.value)


@pytest.mark.parametrize(
    ("authority", "host"),
    [("Example.org:80", "example.org"), ("[::1]:8420", "[::1]"), ("a.b.", "a.b"), ("x@evil.org", "evil.org"), ("", "")],
)
def test_the_host_of_an_authority(authority: str, host: str) -> None:
    assert bare_host(authority) == host
