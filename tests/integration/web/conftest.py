"""Fixtures for the web application."""

from support.account_fixtures import account_database, accounts, admin, clock, reviewer
from support.web_fixtures import app, as_admin, as_reviewer, visitor, web_settings

__all__ = [
    "account_database",
    "accounts",
    "admin",
    "app",
    "as_admin",
    "as_reviewer",
    "clock",
    "reviewer",
    "visitor",
    "web_settings",
]
