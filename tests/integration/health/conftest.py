"""Fixtures of the health check."""

from support.health_fixtures import world

__all__ = ["world"]
