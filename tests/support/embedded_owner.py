"""A process that owns a home and runs its servers until it is killed: `python embedded_owner.py <home>`.

Prints one line of JSON when both servers answer. It is a program of its own so that tests can kill it.
"""

import asyncio
import json
import sys
from pathlib import Path

import structlog

from nadia.embedded.home import Home
from nadia.embedded.servers import EmbeddedServers


async def main(home: Path) -> None:
    servers = EmbeddedServers(home=Home(path=home))
    await servers.start()
    place = servers.place
    print(
        json.dumps(
            {
                "postgres": servers.pid("postgres"),
                "redis": servers.pid("redis"),
                "place": str(place.path),
                "dsn": servers.dsn(),
                "socket": str(servers.redis.socket_path),
                "user": place.user.uid,
            }
        ),
        flush=True,
    )
    await servers.wait()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(Path(sys.argv[1])))
