"""Fixtures of the operations page's tests."""

from support.desk_fixtures import ann, as_person, house, stranger

__all__ = ["ann", "as_person", "house", "stranger"]
