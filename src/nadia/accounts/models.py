"""What an account, a session and a token are."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal


class Role(StrEnum):
    """What someone may do; each role includes the ones before it."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Position in the order of roles, from 0."""
        return tuple(Role).index(self)

    def covers(self, other: "Role") -> bool:
        """Say whether this role may do what ``other`` may."""
        return self.rank >= other.rank


class LinkPurpose(StrEnum):
    """What a one-time link is good for."""

    LOGIN = "login"
    INVITE = "invite"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Account:
    """A person who may log in, without anything secret."""

    id: int
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None = None
    has_password: bool = False
    has_second_factor: bool = False

    @property
    def reference(self) -> str:
        """How the audit log names the account, as actor and as subject."""
        return f"account:{self.id}"

    @property
    def active(self) -> bool:
        """Whether the account may be used at all."""
        return self.disabled_at is None


@dataclass(frozen=True, slots=True)
class AccountOverview:
    """An account with what an admin wants to see beside it."""

    account: Account
    sessions: int
    last_seen_at: datetime | None
    locked_until: datetime | None


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone who has shown who they are, and how.

    ``role`` is what counts for permission: a token may hold less than its owner does.
    """

    account: Account
    role: Role
    via: Literal["session", "token"]
    token_name: str | None = None

    @property
    def actor(self) -> str:
        """How the audit log names them."""
        return self.account.reference


@dataclass(frozen=True, slots=True)
class Session:
    """One log-in of one browser, as its owner sees it."""

    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    user_agent: str
    current: bool


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A named bearer token, without the token itself."""

    id: int
    name: str
    role: Role
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class IssuedLink:
    """A one-time link's secret, shown once; only its hash is stored."""

    secret: str
    purpose: LinkPurpose
    account: Account
    expires_at: datetime

    @property
    def path(self) -> str:
        """Where the link leads, relative to the site's root.

        The secret stands in the fragment, which browsers keep to themselves: it reaches no server log.
        """
        page = "/login" if self.purpose is LinkPurpose.LOGIN else "/welcome"
        return f"{page}#token={self.secret}"
