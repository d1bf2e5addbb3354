"""Fixtures of the workflows' tests."""

from support.reply_fixtures import desk_database, live_events, reviewer, world

__all__ = ["desk_database", "live_events", "reviewer", "world"]
