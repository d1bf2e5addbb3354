"""Where the servers of a home are reached: known from the home alone, whether or not they run."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from nadia.embedded.home import Home
from nadia.embedded.place import Place

DATABASE = "nadia"

PORT = 5432
"""Only part of the socket's name: nothing listens on TCP."""


class Role(StrEnum):
    """The PostgreSQL roles of an embedded cluster, by what they may do."""

    SUPERUSER = "nadia_superuser"
    """Administers the cluster; used by the set-up and by tests."""

    OWNER = "nadia_owner"
    """Owns the database and the schema; used by migrations."""

    APP = "nadia_app"
    """Reads and writes rows; used by everything else."""

    @property
    def secret_name(self) -> str:
        """Name of the home's secret that is its password."""
        return self.value.replace("nadia_", "postgres-")


@dataclass(frozen=True)
class PostgresEndpoint:
    """Where and as whom one role reaches PostgreSQL; the password is kept out of ``repr``."""

    socket_folder: Path
    role: Role
    password: str = field(repr=False)
    database: str = DATABASE

    @property
    def dsn(self) -> str:
        """The endpoint as a ``postgresql://`` URL, password included."""
        password, database, host = (
            quote(part, safe="") for part in (self.password, self.database, str(self.socket_folder))
        )
        return f"postgresql://{self.role}:{password}@/{database}?host={host}&port={PORT}"


@dataclass(frozen=True)
class RedisEndpoint:
    """Where and as whom to reach Redis; the password is kept out of ``repr``."""

    socket_path: Path
    username: str
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """The endpoint as a ``unix://`` URL, password included."""
        return f"unix://{self.username}:{quote(self.password, safe='')}@{quote(str(self.socket_path))}"


def postgres_endpoint(*, home: Home, place: Place, role: Role, database: str = DATABASE) -> PostgresEndpoint:
    """The endpoint of one role; makes its password if it has none yet."""
    password = home.secret(role.secret_name)
    return PostgresEndpoint(socket_folder=place.socket_folder, role=role, password=password, database=database)


def redis_endpoint(*, home: Home, place: Place) -> RedisEndpoint:
    """The endpoint of Redis; makes its password if it has none yet."""
    return RedisEndpoint(
        socket_path=place.socket_folder / "redis.sock", username="default", password=home.secret("redis")
    )
