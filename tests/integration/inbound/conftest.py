"""Fixtures for inbound."""

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
