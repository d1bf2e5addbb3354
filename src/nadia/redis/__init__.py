"""Redis, which says when: connections, the names of all keys, and live events. Anything in it can be lost."""

from nadia.redis.commands import Command, Script
from nadia.redis.config import RedisSettings
from nadia.redis.connection import RedisClient, RedisConnection, RedisSource, redis_errors
from nadia.redis.mixin import RedisConnectionMixin

__all__ = [
    "Command",
    "RedisClient",
    "RedisConnection",
    "RedisConnectionMixin",
    "RedisSettings",
    "RedisSource",
    "Script",
    "redis_errors",
]
