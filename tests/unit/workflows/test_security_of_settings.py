"""What the security check says of settings: each fault planted alone, and none where there is none."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from nadia.errors import ConfigurationError
from nadia.health.models import HealthStatus
from nadia.workflows.security.addresses import is_loopback, is_wide
from nadia.workflows.security.configuration import ConfigurationScanner, ExposedSettings

SOUND = ExposedSettings(
    web_host="127.0.0.1",
    web_public_url=None,
    web_has_secret_key=False,
    web_cookies_are_secure=False,
    trusted_proxies=(),
    mcp_host="127.0.0.1",
    mcp_allows_actions=False,
    debug=False,
    log_level="info",
    postgres_urls={},
    redis_urls={},
    default_sslmode="prefer",
    model_urls={},
)
PASSWORD = "Gq3-unlike-any-other-84"


async def found(**changes: Any) -> list[tuple[str, HealthStatus]]:
    scan = await ConfigurationScanner(replace(SOUND, **changes)).scan()
    assert PASSWORD not in repr(scan)
    return [(finding.subject, finding.status) for finding in scan.findings]


async def test_an_installation_on_loopback_is_sound() -> None:
    assert await found() == []


async def test_one_behind_a_proxy_with_tls_is_sound() -> None:
    assert (
        await found(
            web_host="0.0.0.0",
            web_public_url="https://desk.example.org",
            web_has_secret_key=True,
            web_cookies_are_secure=True,
            trusted_proxies=("10.0.0.7", "10.1.2.0/24"),
        )
        == []
    )


@pytest.mark.parametrize(
    ("changes", "subject", "status"),
    [
        (
            {"web_host": "0.0.0.0", "web_public_url": "https://x.example", "web_cookies_are_secure": True},
            "NADIA_WEB_SECRET_KEY",
            "critical",
        ),
        ({"web_host": "10.0.0.3", "web_has_secret_key": True}, "NADIA_WEB_HOST", "critical"),
        (
            {"web_host": "::", "web_has_secret_key": True, "web_public_url": "http://x.example"},
            "NADIA_WEB_HOST",
            "critical",
        ),
        (
            {"web_host": "::", "web_has_secret_key": True, "web_public_url": "https://x.example"},
            "NADIA_WEB_SECURE_COOKIES",
            "warning",
        ),
        ({"web_public_url": "http://x.example"}, "NADIA_WEB_PUBLIC_URL", "critical"),
        ({"trusted_proxies": ("0.0.0.0/0",)}, "NADIA_WEB_TRUSTED_PROXIES", "critical"),
        ({"trusted_proxies": ("10.0.0.7", "*")}, "NADIA_WEB_TRUSTED_PROXIES", "critical"),
        ({"mcp_host": "0.0.0.0"}, "NADIA_MCP_HOST", "warning"),
        ({"debug": True}, "NADIA_DEBUG", "warning"),
        ({"log_level": "debug"}, "LOG_LEVEL", "warning"),
        ({"model_urls": {"big": "http://models.example.org/v1"}}, "model big", "critical"),
    ],
)
async def test_each_fault_is_found_and_only_that(changes: dict[str, Any], subject: str, status: str) -> None:
    assert await found(**changes) == [(subject, HealthStatus(status))]


@pytest.mark.parametrize(
    ("url", "statuses"),
    [
        (f"postgresql://u:{PASSWORD}@db.example.org/nadia?sslmode=verify-full", []),
        (f"postgresql://u:{PASSWORD}@db.example.org/nadia?sslmode=require", []),
        (f"postgresql://u:{PASSWORD}@127.0.0.1,[::1]/nadia", []),
        (f"postgresql://u:{PASSWORD}@/nadia?host=/run/postgresql", []),
        (f"postgresql://u:{PASSWORD}@db.example.org/nadia", ["critical"]),
        (f"postgresql://u:{PASSWORD}@localhost,db.example.org/nadia", ["critical"]),
        (f"host=db.example.org user=u password={PASSWORD} sslmode=allow", ["critical"]),
        (f"hostaddr=192.0.2.7 user=u password={PASSWORD}", ["critical"]),
        ("postgresql://u@db.example.org/nadia?sslmode=disable", ["critical", "warning"]),
    ],
)
async def test_postgres_elsewhere_wants_tls_and_a_password(url: str, statuses: list[str]) -> None:
    assert [status for _, status in await found(postgres_urls={"DATABASE_URL": SecretStr(url)})] == statuses


async def test_what_libpq_does_by_default_counts() -> None:
    url = {"DATABASE_URL": SecretStr(f"postgresql://u:{PASSWORD}@db.example.org/nadia")}
    assert await found(postgres_urls=url, default_sslmode="verify-full") == []


async def test_an_unreadable_connection_url_is_refused_without_being_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        await found(postgres_urls={"DATABASE_URL": SecretStr(f"postgresql://u:{PASSWORD}%zz@h/x")})
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "statuses"),
    [
        (f"rediss://:{PASSWORD}@cache.example.org:6379/0", []),
        (f"redis://:{PASSWORD}@127.0.0.1/0", []),
        (f"unix://default:{PASSWORD}@/run/redis.sock", []),
        ("redis://127.0.0.1/0", ["warning"]),
        ("unix:///run/redis.sock", ["warning"]),
        (f"redis://:{PASSWORD}@cache.example.org/0", ["critical"]),
        ("redis://cache.example.org/0", ["critical", "critical"]),
        (f"redis://:{PASSWORD}@cache.example.org/0?client_name=a@localhost", ["critical"]),
        ("redis://cache.example.org?client_name=a:b@localhost", ["critical", "critical"]),
        (f"redis://cache.example.org/0?password={PASSWORD}", ["critical"]),
        (f"redis://:{PASSWORD}@127.0.0.1:26379,s2.example.org:26379", ["critical"]),
    ],
)
async def test_redis_elsewhere_wants_tls_and_a_password(url: str, statuses: list[str]) -> None:
    assert [status for _, status in await found(redis_urls={"REDIS_URL": SecretStr(url)})] == statuses


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.8.8.8", "::1", "[::1]", "::ffff:127.0.0.1"]
)
def test_loopback_has_many_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "10.0.0.1", "localhost.example.org", "::ffff:10.0.0.1", "1270.0.0.1"]
)
def test_other_addresses_are_none(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("network", "wide"),
    [
        ("10.0.0.7", False),
        ("10.0.0.0/24", False),
        ("10.0.0.0/23", True),
        ("::/0", True),
        ("fd00::/64", False),
        ("proxy", False),
    ],
)
def test_more_than_a_handful_of_machines_is_wide(network: str, wide: bool) -> None:
    assert is_wide(network) is wide
