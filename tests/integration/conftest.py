"""Fixtures of the integration tests: the services over a database and a Redis of a test's own."""

from support.core_fixtures import (
    clock,
    cluster,
    cluster_of_session,
    core,
    either_redis,
    either_source,
    other_core,
    redis_connection,
    redis_source,
)

__all__ = [
    "clock",
    "cluster",
    "cluster_of_session",
    "core",
    "either_redis",
    "either_source",
    "other_core",
    "redis_connection",
    "redis_source",
]
