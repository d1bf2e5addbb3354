"""Where the servers of an installation are: configured, or embedded in its home."""

import hashlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from nadia.embedded.endpoints import Role, postgres_endpoint, redis_endpoint
from nadia.embedded.home import Home
from nadia.embedded.place import Place
from nadia.embedded.reports import ServerName
from nadia.embedded.service_user import ServiceUser
from nadia.errors import UnavailableError
from nadia.redis.source import RedisSource
from nadia.settings import Config
from nadia.telegram.sandbox.address import SOCKET_PATH_LIMIT, Address, UnixAddress, parse_address


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where everything is that a process connects to.

    Parameters
    ----------
    postgres : str
        Connection string of the application's role.
    postgres_owner : str
        Of the role that owns the schema.
    redis : RedisSource
        Redis.
    sandbox : Address
        The sandbox Telegram.
    embedded : tuple of {"postgres", "redis"}
        Which servers are this home's own.
    """

    postgres: str = field(repr=False)
    postgres_owner: str = field(repr=False)
    redis: RedisSource
    sandbox: Address
    embedded: tuple[ServerName, ...]

    @classmethod
    def of(cls, config: Config) -> "Endpoints":
        """Return where the servers are by the settings; what is not configured is the home's own.

        Raises
        ------
        HomeError
            If the home cannot be used.
        """
        home = Home(path=config.home)
        configured = config.postgres.url
        if configured is not None:
            app = configured.get_secret_value()
            owner = config.postgres.owner_url.get_secret_value() if config.postgres.owner_url else app
        else:
            place = servers_place(home)
            app, owner = (postgres_endpoint(home=home, place=place, role=role).dsn for role in (Role.APP, Role.OWNER))
        return cls(
            postgres=app,
            postgres_owner=owner,
            redis=_redis_source(config, home),
            sandbox=_sandbox_address(config),
            embedded=_embedded(config),
        )


def require_running(config: Config) -> None:
    """Check that somebody runs the home's own PostgreSQL, where none is configured.

    Raises
    ------
    UnavailableError
        At once, if nobody does.
    """
    if config.postgres.url is None and Home(path=config.home).owner_pid() is None:
        raise UnavailableError(
            f"no PostgreSQL is configured, and no NADIA runs on {config.home}",
            hint="start it with `nadia up`, or set DATABASE_URL",
        )


def servers_place(home: Home) -> Place:
    """Return where a home's own servers live, whether or not they run; raises HomeError."""
    return Place.locate(home=home.ensure(), user=ServiceUser.resolve(None))


def _embedded(config: Config) -> tuple[ServerName, ...]:
    urls: dict[ServerName, object] = {"postgres": config.postgres.url, "redis": config.redis.url}
    return tuple(name for name, url in urls.items() if url is None)


def _redis_source(config: Config, home: Home) -> RedisSource:
    settings = config.redis
    if settings.url is not None:
        return RedisSource(
            url=settings.url.get_secret_value(),
            mode=settings.mode,
            sentinel_service=settings.sentinel_service,
            timeout_seconds=settings.timeout_seconds,
        )
    embedded = redis_endpoint(home=home, place=servers_place(home))
    return RedisSource(url=embedded.url, timeout_seconds=settings.timeout_seconds)


def _sandbox_address(config: Config) -> Address:
    if config.telegram.address:
        return parse_address(config.telegram.address)
    socket = config.home / "sandbox" / "telegram.sock"
    if len(os.fsencode(socket)) <= SOCKET_PATH_LIMIT:
        return UnixAddress(socket)
    # A home with a long name: the same short folder for every process of this user that uses it.
    digest = hashlib.sha256(os.fsencode(config.home)).hexdigest()[:12]
    return UnixAddress(Path(tempfile.gettempdir()) / f"nadia-{os.getuid()}-{digest}" / "telegram.sock")
