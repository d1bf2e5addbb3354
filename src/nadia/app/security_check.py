"""The security check, put together from the settings: which files, secrets, servers and processes it looks at."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

import nadia
from nadia.app import texts
from nadia.app.endpoints import Endpoints
from nadia.app.session_keys import session_keys
from nadia.embedded.endpoints import PORT
from nadia.embedded.home import Home
from nadia.embedded.place import Place as ServersPlace
from nadia.embedded.service_user import ServiceUser
from nadia.errors import ConfigurationError
from nadia.llm.registry import OpenAIModel
from nadia.postgres.connection_url import read_connection_url
from nadia.postgres.database import Connection
from nadia.settings import Config
from nadia.settings.names import text_of
from nadia.telegram.sandbox.address import UnixAddress
from nadia.workflows.security.accounts import AccountScanner
from nadia.workflows.security.addresses import is_loopback
from nadia.workflows.security.configuration import ConfigurationScanner, ExposedSettings
from nadia.workflows.security.listeners import Intended, ListenerScanner, nadia_processes
from nadia.workflows.security.permissions import Keeping, PermissionScanner, Place
from nadia.workflows.security.pins import PinScanner
from nadia.workflows.security.tracked_files import TrackedFileScanner
from nadia.workflows.security.weak_secrets import HeldSecret, SecretScanner
from nadia.workflows.security_check import SecurityCheck

_PROGRAM = Path(nadia.__file__).parent
_ROOT = _PROGRAM.parents[1]
"""The checkout, where NADIA runs from one."""


def security_check(
    config: Config, *, connect: Callable[[], AbstractAsyncContextManager[Connection]], dotenv: Path = Path(".env")
) -> SecurityCheck:
    """Return the check of this installation; it creates nothing, also where there is no home yet.

    Parameters
    ----------
    config : Config
        The settings.
    connect : callable
        Yields a connection to PostgreSQL; raises UnavailableError where there is none.
    dotenv : Path
        The file that settings were read from, too.
    """
    home = Home(path=config.home)
    has_home = (config.home / "secrets").is_dir()
    key = [] if not has_home or config.telegram.session_key is not None else [session_keys(config).path]
    return SecurityCheck(
        scanners=(
            ConfigurationScanner(_exposed(config)),
            PermissionScanner(
                places=(*_places(config, dotenv), *(_servers(config) if has_home else ()), *_around(key)),
                home=config.home,
                apart=key,
            ),
            ListenerScanner(processes=lambda: nadia_processes(home.owner_pid), intended=_intended(config)),
            SecretScanner(
                secrets=tuple(_secrets(config)),
                open_values={
                    setting.usual_name: text_of(config.value(setting))
                    for setting in Config.settings()
                    if not setting.is_secret
                },
                telegram_api_id=config.telegram.api_id,
            ),
            PinScanner(locks=(_ROOT / "requirements.lock", _ROOT / "requirements-dev.lock")),
            TrackedFileScanner(root=_ROOT),
            AccountScanner(connect=connect),
        )
    )


def _exposed(config: Config) -> ExposedSettings:
    postgres = {"DATABASE_URL": config.postgres.url, "NADIA_POSTGRES_OWNER_URL": config.postgres.owner_url}
    return ExposedSettings(
        web_host=config.web.host,
        web_public_url=config.web.public_url,
        web_has_secret_key=config.web.secret_key is not None,
        web_cookies_are_secure=config.web.cookies_are_secure,
        trusted_proxies=config.web.trusted_proxies,
        mcp_host=config.mcp.host,
        mcp_allows_actions=config.mcp.allow_actions,
        debug=config.variables.get("NADIA_DEBUG") == "1",
        log_level=config.logs.level,
        postgres_urls={name: url for name, url in postgres.items() if url is not None},
        redis_urls={} if config.redis.url is None else {"REDIS_URL": config.redis.url},
        default_sslmode=config.variables.get("PGSSLMODE", "prefer"),
        model_urls={name: model.base_url for name, model, _ in _models(config)},
    )


def _models(config: Config) -> Iterator[tuple[str, OpenAIModel, SecretStr | None]]:
    """Yield each model that is asked over the network, with its key."""
    with suppress(ConfigurationError):  # a registry that cannot be read keeps NADIA from starting, and says so there
        registry = config.model_registry()
        seen = set()
        for profile in registry.profiles:
            for link in registry.chain(profile):
                if isinstance(link.model, OpenAIModel) and link.name not in seen:
                    seen.add(link.name)
                    yield link.name, link.model, link.api_key


def _intended(config: Config) -> list[Intended]:
    meant = [Intended(host=config.web.host, port=config.web.port), Intended(host=config.mcp.host, port=config.mcp.port)]
    return [place for place in meant if place.port and not is_loopback(place.host)]


def _places(config: Config, dotenv: Path) -> Iterator[Place]:
    # As root the servers run as another user, who passes through the home to files of its own.
    as_root = os.geteuid() == 0
    yield Place(path=config.home, keeping=Keeping.SECRET, holds="NADIA's data", may_be_entered=as_root)
    for name, holds in (("secrets", "passwords"), ("logs", "logs"), ("sandbox", "what sandbox customers wrote")):
        yield Place(path=config.home / name, keeping=Keeping.SECRET, holds=holds, whole=True)
    yield Place(path=texts.folder(config), keeping=Keeping.OWN, holds="what NADIA tells customers", whole=True)
    yield Place(path=_PROGRAM, keeping=Keeping.OWN, holds="the program itself", whole=True)
    yield Place(path=dotenv, keeping=Keeping.SECRET, holds="settings with passwords in them")
    for pointer in _secret_files(config):
        yield Place(path=pointer, keeping=Keeping.SECRET, holds="a secret")
    of_operator = (
        config.llm.models_file,
        config.llm.saved_replies_file,
        config.drafting.persona_file,
        config.drafting.disclosure_file,
    )
    for path in of_operator:
        if path is not None:
            yield Place(path=path, keeping=Keeping.OWN, holds="what NADIA tells customers, or whom it asks")


def _servers(config: Config) -> Iterator[Place]:
    """Yield the sockets that the home's own servers are reached by."""
    folder = ServersPlace.locate(home=config.home, user=ServiceUser.resolve()).socket_folder
    yield Place(path=folder / f".s.PGSQL.{PORT}", keeping=Keeping.SOCKET, holds="PostgreSQL")
    yield Place(path=folder / "redis.sock", keeping=Keeping.SOCKET, holds="Redis")
    sandbox = Endpoints.of(config).sandbox
    if isinstance(sandbox, UnixAddress):
        yield Place(path=sandbox.path, keeping=Keeping.SOCKET, holds="the sandbox")


def _around(keys: list[Path]) -> Iterator[Place]:
    for key in keys:
        yield Place(path=key.parent, keeping=Keeping.SECRET, holds="the key of the Telegram sessions")
        yield Place(path=key, keeping=Keeping.SECRET, holds="the key of the Telegram sessions")


def _secret_files(config: Config) -> Iterator[Path]:
    names = [name for setting in Config.settings() if setting.is_secret for name in (setting.name, *setting.plain)]
    names += [model.api_key_env for _, model, _ in _models(config) if model.api_key_env]
    for name in names:
        if path := config.variables.get(f"{name}_FILE"):
            yield Path(path).expanduser()


def _secrets(config: Config) -> Iterator[HeldSecret]:
    of_urls = {"postgres.url", "postgres.owner_url", "redis.url"}
    for setting in Config.settings():
        value = config.value(setting)
        if setting.is_secret and isinstance(value, SecretStr) and setting.path not in of_urls:
            yield HeldSecret(name=setting.usual_name, value=value, chosen_by_us=setting.section == "web")
    for name, url in (("DATABASE_URL", config.postgres.url), ("NADIA_POSTGRES_OWNER_URL", config.postgres.owner_url)):
        if url is not None:
            parts = read_connection_url(url.get_secret_value())
            if parts.password:
                yield HeldSecret(name=name, value=SecretStr(parts.password), user=parts.user)
    if config.redis.url is not None:
        place = urlsplit(config.redis.url.get_secret_value())
        if place.password:
            user = unquote(place.username or "default")
            yield HeldSecret(name="REDIS_URL", value=SecretStr(unquote(place.password)), user=user)
    for name, model, key in _models(config):
        if key is not None:
            yield HeldSecret(name=model.api_key_env or f"the key of {name}", value=key, chosen_by_us=False)
    folder = config.home / "secrets"
    for path in sorted(folder.glob("[!.]*")) if folder.is_dir() else ():
        with suppress(OSError, UnicodeDecodeError):  # the scanner of permissions says what cannot be read
            yield HeldSecret(name=str(path), value=SecretStr(path.read_text("ascii").strip()))
