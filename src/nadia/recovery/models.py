"""What recovery keeps on record."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nadia.recovery.config import RecoveryTier


class Reason(StrEnum):
    """Why something may be missing."""

    START = "start"
    """The account was owned by nobody, or by another process."""
    RECONNECT = "reconnect"
    """The connection was lost for a while."""
    UPDATES_LOST = "updates_lost"
    """Telegram said that it will not tell everything."""
    REQUEST = "request"
    """A person asked."""
    SCHEDULE = "schedule"
    """It was looked at long ago."""


class OperationState(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    DONE = "done"
    INTERRUPTED = "interrupted"
    """The process or its ownership ended; the next run goes on where it was."""
    FAILED = "failed"
    """Errors piled up, or chats could not be read; it is tried again later."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of an account's messages of which something may be missing.

    Parameters
    ----------
    id : int
        Of the row.
    account_id : str
        The Telegram account.
    after_message_id : int
        Everything up to this message is on record.
    not_before : datetime or None
        Nothing older is looked for: the account was never read before.
    reason : Reason
        Why it was opened, or opened wider the last time.
    updates_lost_at : datetime or None
        When it was last known that edits and deletions may be missing too; None where none are.
    compare_since : datetime or None
        What is on record is compared with the history, also in chats read before this moment; None where it is not.
    generation : int
        Rises each time it is opened wider.
    opened_at : datetime
        When it was opened.
    """

    id: int
    account_id: str
    after_message_id: int
    not_before: datetime | None
    reason: Reason
    updates_lost_at: datetime | None
    compare_since: datetime | None
    generation: int
    opened_at: datetime

    @property
    def is_compared(self) -> bool:
        """Whether what is on record is compared with the history, for edits and deletions."""
        return self.compare_since is not None


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat of a gap, and how far it was read.

    Parameters
    ----------
    chat_id : int
        Telegram's.
    tier : RecoveryTier
        How urgent it is.
    top_message_id : int
        Its newest message when it was last seen.
    top_sent_at : datetime
        When that was sent.
    through_message_id : int
        On record up to this one; 0 where it is not known yet where to begin.
    not_before : datetime or None
        Where nothing is on record: nothing older is looked for.
    """

    chat_id: int
    tier: RecoveryTier
    top_message_id: int
    top_sent_at: datetime
    through_message_id: int
    not_before: datetime | None = None


@dataclass(slots=True)
class Tally:
    """What was met since the last time it went on record."""

    found: int = 0
    recorded: int = 0
    duplicate: int = 0
    too_old: int = 0
    edits: int = 0
    deletions: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """One run, as it is on record; see the table ``recovery_operations``."""

    id: int
    gap_id: int
    reason: Reason
    state: OperationState
    started_at: datetime
    progressed_at: datetime
    ended_at: datetime | None
    dialogs_seen: int
    chats_tier_1: int
    chats_tier_2: int
    chats_tier_3: int
    chats_done: int
    messages_found: int
    messages_recorded: int
    messages_duplicate: int
    messages_too_old: int
    edits: int
    deletions: int
    errors: int
    flood_wait_seconds: float
    error: str | None

    @property
    def chats(self) -> int:
        """Chats to read in this run."""
        return self.chats_tier_1 + self.chats_tier_2 + self.chats_tier_3

    @property
    def seconds(self) -> float:
        """How long it has run, seconds."""
        return ((self.ended_at or self.progressed_at) - self.started_at).total_seconds()

    @property
    def seconds_left(self) -> float | None:
        """How long it will go on at the pace so far, seconds; None where nothing is known yet."""
        if self.state is not OperationState.RUNNING or not self.chats_done:
            return None
        return self.seconds / self.chats_done * max(0, self.chats - self.chats_done)


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """How an account stands.

    Parameters
    ----------
    account_id : str
        The Telegram account.
    owned : bool
        Whether a process acts for it.
    message_id : int or None
        Everything up to this message is on record; None where it was never looked through.
    verified_at : datetime or None
        When that was made sure.
    gap : Gap or None
        What may be missing at present.
    operation : Operation or None
        The latest run.
    """

    account_id: str
    owned: bool
    message_id: int | None
    verified_at: datetime | None
    gap: Gap | None
    operation: Operation | None


class RequestKind(StrEnum):
    """What a person may ask of the process that owns an account."""

    RUN = "run"
    PLAN = "plan"


@dataclass(frozen=True, slots=True)
class Request:
    """Something that a person asked of the process that owns an account.

    Parameters
    ----------
    id : int
        Of the row.
    kind : RequestKind
        What is asked for.
    """

    id: int
    kind: RequestKind


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would read.

    Parameters
    ----------
    after_message_id : int
        It would look at what came after this message.
    chats_tier_1, chats_tier_2, chats_tier_3 : int
        Chats with something newer.
    oldest, newest : datetime or None
        Between which times the newest messages of these chats were sent.
    seconds : float
        How long it would take at the pace that Telegram allows at present.
    """

    after_message_id: int
    chats_tier_1: int = 0
    chats_tier_2: int = 0
    chats_tier_3: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    seconds: float = 0.0
