"""Fixtures for recovery."""

from support.core_fixtures import clock, core, other_core, redis_connection, redis_source
from support.recovering import downtime

__all__ = ["clock", "core", "downtime", "other_core", "redis_connection", "redis_source"]
