"""What quarantine handles and shows."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from nadia.telegram.gateway import Media

Decision = Literal["activate", "deactivate", "grant_pass", "release", "discard"]
"""What a person decides, as the service and the commands name it."""


class Step(StrEnum):
    """A step of the silence protocol, as its log names it."""

    ACTIVATED = "activated"
    DEACTIVATED = "deactivated"
    PASS_GRANTED = "pass_granted"  # noqa: S105 - a permit, not a password
    PASS_USED = "pass_used"  # noqa: S105
    HELD = "held"
    RELEASED = "released"
    DISCARDED = "discarded"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Status:
    """A silence, as the transaction that asks sees it."""

    person_id: int
    pass_granted: bool


@dataclass(frozen=True, slots=True)
class Silence:
    """A silenced customer, with what waits for a decision.

    Parameters
    ----------
    person_id : int
        Ours.
    name, username : str, str or None
        The customer.
    reason : str
        Why they are silenced.
    activated_by, activated_by_name : str
        Who decided it, as the audit log names them and as people do.
    activated_at : datetime
        UTC.
    pass_granted_at : datetime or None
        When the next burst was given a pass that is not used yet.
    held : int
        Messages that wait for a decision.
    oldest_held_at, expires_at : datetime or None
        Since when the oldest waits, and when the first expires.
    """

    person_id: int
    name: str
    username: str | None
    reason: str
    activated_by: str
    activated_by_name: str
    activated_at: datetime
    pass_granted_at: datetime | None
    held: int
    oldest_held_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """A message that waits for a decision.

    ``batch_id`` is the parked item that it belongs to; without one it was held before it became part of any.
    """

    message_id: int
    telegram_account_id: str
    batch_id: int | None
    kind: str
    media: Media | None
    text: str
    sent_at: datetime
    deleted_at: datetime | None
    held_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line of the protocol's log."""

    at: datetime
    step: Step
    actor: str
    actor_name: str
    reason: str | None
    messages: int


@dataclass(frozen=True, slots=True)
class Person:
    """A customer with all that the silence protocol knows of them; ``silence`` is None while they are not silenced."""

    person_id: int
    name: str
    username: str | None
    silence: Silence | None
    messages: tuple[HeldMessage, ...]
    log: tuple[LogEntry, ...]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a decision would do to a customer as they are now.

    Parameters
    ----------
    person_id : int
        Ours.
    name : str
        The customer.
    changes : bool
        False where things are so already.
    messages, parked_items : int
        How many held messages it would concern, and how many parked items these are of.
    """

    person_id: int
    name: str
    changes: bool
    messages: int
    parked_items: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision did.

    Parameters
    ----------
    changed : bool
        False where things were so already.
    messages : int
        How many messages it concerned.
    items : int
        How many items of the desk it parked, took up again or ended.
    """

    changed: bool
    messages: int = 0
    items: int = 0
