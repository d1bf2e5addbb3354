"""Redis for classes that need it (baseline 2.6)."""

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the driver takes long to import, and a health check does without it
    from nadia.redis.connection import RedisClient, RedisConnection


class RedisConnectionMixin:
    """Gives a class a Redis client that is made with its first use.

    Parameters
    ----------
    redis : RedisConnection
        Shared by all who use the same server.
    """

    def __init__(self, *, redis: "RedisConnection") -> None:
        self._redis_connection = redis

    async def _get_redis(self) -> "RedisClient":
        """Return the bare client; `_redis` is the way for commands that may fail."""
        return await self._redis_connection.get()

    def _redis(self) -> "AbstractAsyncContextManager[RedisClient]":
        """Return a context with the client; see `RedisConnection.use` for its errors."""
        return self._redis_connection.use()

    async def _close_redis(self) -> None:
        await self._redis_connection.close()
