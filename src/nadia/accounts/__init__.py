"""People who log in: roles, passwords, sessions, second factor, tokens."""

from nadia.accounts.models import Account, Principal, Role
from nadia.accounts.service import AccountService

__all__ = ["Account", "AccountService", "Principal", "Role"]
