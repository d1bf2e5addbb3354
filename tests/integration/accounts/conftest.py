"""Fixtures for accounts."""

from support.account_fixtures import account_database, accounts, admin, clock, reviewer

__all__ = ["account_database", "accounts", "admin", "clock", "reviewer"]
