"""Settings that open NADIA, or what it says to its servers, to others."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from nadia.postgres.connection_url import read_connection_url
from nadia.workflows.report import WorkflowFinding
from nadia.workflows.security.addresses import is_local, is_loopback, is_wide
from nadia.workflows.security.scan import Scan, critical, warning

_PLAIN_MODES: Final = frozenset({"disable", "allow", "prefer"})
"""With these libpq goes on without TLS where the other side says that it has none; so does whoever stands between."""

_END_OF_AUTHORITY: Final = re.compile("[/?#]")
"""Where the part with user and hosts ends (RFC 3986, 3.2): what follows may hold an ``@`` too."""

_PROXY_GUIDE: Final = "put a proxy with TLS before it (docs/operations/reverse-proxy.md)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposedSettings:
    """What of the settings decides who else can reach or overhear NADIA.

    Parameters
    ----------
    web_host, mcp_host : str
        Where the servers listen.
    web_public_url : str or None
        What people open.
    web_has_secret_key : bool
        Whether one is set.
    web_cookies_are_secure : bool
        Whether browsers send them over HTTPS only.
    trusted_proxies : tuple of str
        Whose ``X-Forwarded-For`` is believed.
    mcp_allows_actions : bool
        Whether assistants may change anything.
    debug : bool
        Whether tracebacks are printed.
    log_level : str
        Lowest level that is logged.
    postgres_urls, redis_urls : mapping of str to SecretStr
        By the setting's name; those that are configured.
    default_sslmode : str
        What libpq does where a URL does not say.
    model_urls : mapping of str to str
        Endpoints that are sent customers' text and a key, by the model's name.
    """

    web_host: str
    web_public_url: str | None
    web_has_secret_key: bool
    web_cookies_are_secure: bool
    trusted_proxies: tuple[str, ...]
    mcp_host: str
    mcp_allows_actions: bool
    debug: bool
    log_level: str
    postgres_urls: Mapping[str, SecretStr]
    redis_urls: Mapping[str, SecretStr]
    default_sslmode: str
    model_urls: Mapping[str, str]


class ConfigurationScanner:
    """Judges the settings.

    Parameters
    ----------
    settings : ExposedSettings
        Those that matter here.
    """

    title = "settings"

    def __init__(self, settings: ExposedSettings) -> None:
        self._settings = settings

    async def scan(self) -> Scan:
        """Judge each rule."""
        return Scan(
            looked_at="who can reach NADIA, and what it sends in the clear",
            findings=(*self._web(), *self._mcp(), *self._noise(), *self._postgres(), *self._redis(), *self._models()),
        )

    def _web(self) -> Iterator[WorkflowFinding]:
        settings = self._settings
        public = urlsplit(settings.web_public_url or "")
        if not is_loopback(settings.web_host):
            if not settings.web_has_secret_key:
                yield critical(
                    "NADIA_WEB_SECRET_KEY",
                    f"the web is to listen on {settings.web_host} without a secret key: it will refuse to start",
                    "set it (openssl rand -base64 48), or listen on 127.0.0.1",
                )
            if public.scheme != "https":
                yield critical(
                    "NADIA_WEB_HOST",
                    f"the web listens on {settings.web_host} and people do not open it over https: passwords can be "
                    "overheard",
                    f"{_PROXY_GUIDE} and set NADIA_WEB_PUBLIC_URL=https://…, or listen on 127.0.0.1",
                )
            elif not settings.web_cookies_are_secure:
                yield warning(
                    "NADIA_WEB_SECURE_COOKIES",
                    "browsers send the session's cookie over plain http too",
                    "remove the setting: cookies are for https only then",
                )
        elif public.scheme == "http" and not is_loopback(public.hostname or ""):
            yield critical(
                "NADIA_WEB_PUBLIC_URL",
                f"people open http://{public.hostname}, in the clear: passwords can be overheard",
                f"{_PROXY_GUIDE} and write https://",
            )
        for proxy in settings.trusted_proxies:
            if is_wide(proxy):
                yield critical(
                    "NADIA_WEB_TRUSTED_PROXIES",
                    f"{proxy} is more than a proxy: anybody there can claim another's address and guess passwords "
                    "without being slowed down",
                    "name the proxy's own address",
                )

    def _mcp(self) -> Iterator[WorkflowFinding]:
        host = self._settings.mcp_host
        if is_loopback(host):
            return
        what = "and may change things" if self._settings.mcp_allows_actions else "with bearer tokens in each request"
        yield warning(
            "NADIA_MCP_HOST",
            f"assistants are served on {host}, {what}; the MCP server itself speaks plain http",
            "listen on 127.0.0.1 and let a proxy with TLS lead to it",
        )

    def _noise(self) -> Iterator[WorkflowFinding]:
        if self._settings.debug:
            yield warning("NADIA_DEBUG", "tracebacks are printed, with paths and values", "unset it")
        if self._settings.log_level == "debug":
            yield warning(
                "LOG_LEVEL", "everything is logged, for longer than one looks for a fault?", "set it to info again"
            )

    def _postgres(self) -> Iterator[WorkflowFinding]:
        for name, url in self._settings.postgres_urls.items():
            parts = read_connection_url(url.get_secret_value())
            mode = parts.sslmode or self._settings.default_sslmode
            away = [host for host in parts.hosts if not is_local(host)]
            if away and mode in _PLAIN_MODES:
                yield critical(
                    name,
                    f"leads to {', '.join(away)} with sslmode={mode}: customers' messages can be overheard on the way",
                    "add ?sslmode=verify-full, with sslrootcert= where the server's authority is your own",
                )
            if away and not parts.password:
                yield warning(
                    name,
                    f"leads to {', '.join(away)} without a password: is everybody let in there?",
                    "give the role a password; NADIA reads the whole URL from a file too (DATABASE_URL_FILE)",
                )

    def _redis(self) -> Iterator[WorkflowFinding]:
        for name, url in self._settings.redis_urls.items():
            text = url.get_secret_value()
            scheme, _, rest = text.partition("://")
            userinfo, _, places = _END_OF_AUTHORITY.split(rest, maxsplit=1)[0].rpartition("@")
            hosts = [urlsplit(f"//{place}").hostname or "" for place in places.split(",")]
            away = [] if scheme == "unix" else [host for host in hosts if not is_local(host)]
            if away and scheme == "redis":
                yield critical(
                    name,
                    f"leads to {', '.join(away)} without TLS: customers' messages can be overheard on the way",
                    "write rediss://, and give Redis a certificate (tls-port)",
                )
            if not userinfo.partition(":")[2] and "password=" not in rest:
                make = critical if away else warning
                whom = "everybody in its network is" if away else "every user of this machine is"
                yield make(
                    name,
                    f"has no password: {whom} let into Redis, where customers' messages are",
                    "set requirepass or a user of NADIA's own (ACL), and write redis://user:password@…",
                )

    def _models(self) -> Iterator[WorkflowFinding]:
        for name, url in self._settings.model_urls.items():
            parts = urlsplit(url)
            if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
                yield critical(
                    f"model {name}",
                    f"is asked over plain http at {parts.hostname}: its key and customers' messages can be overheard",
                    "write https:// in the model registry",
                )
