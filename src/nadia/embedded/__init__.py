"""PostgreSQL and Redis for one machine, started and owned by NADIA.

`EmbeddedServers` is the whole of it; `Home` is the folder that everything of one installation lives in.
"""

from nadia.embedded.endpoints import PostgresEndpoint, RedisEndpoint, Role
from nadia.embedded.errors import (
    HomeError,
    HomeInUseError,
    ServerBinaryMissingError,
    ServerStartError,
)
from nadia.embedded.home import Home
from nadia.embedded.reports import Exited, Restarted, ServerEvent, StartResult
from nadia.embedded.servers import EmbeddedServers

__all__ = [
    "EmbeddedServers",
    "Exited",
    "Home",
    "HomeError",
    "HomeInUseError",
    "PostgresEndpoint",
    "RedisEndpoint",
    "Restarted",
    "Role",
    "ServerBinaryMissingError",
    "ServerEvent",
    "ServerStartError",
    "StartResult",
]
