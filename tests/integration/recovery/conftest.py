"""Fixtures for recovery."""

from support.recovering import downtime

__all__ = ["downtime"]
