"""Fixtures for the desk's and the sandbox's routes."""

from support.desk_fixtures import ann, as_person, house, stranger

__all__ = ["ann", "as_person", "house", "stranger"]
