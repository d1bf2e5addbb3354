"""Whether what drafting remembers of conversations is what was said (baseline 1.1)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import ClassVar, Final

from nadia.constants import MAX_HISTORY_LENGTH, MEMORY_TTL_SECONDS
from nadia.health.memory_sample import RecordedMemory, StoredMemory, recorded_memories, sample_memories
from nadia.health.models import HealthStatus
from nadia.health.postgres_reading import Connect
from nadia.health.probe import Finding
from nadia.health.wording import count
from nadia.redis.commands import SurveysServers


class Damage(StrEnum):
    """What may be wrong with a memory."""

    UNREADABLE = "unreadable"
    TOO_LONG = "too long"
    KEPT_TOO_LONG = "kept too long"
    OUT_OF_ORDER = "out of order"
    AHEAD = "ahead of PostgreSQL"
    DISAGREES = "not what PostgreSQL has"
    OF_NOBODY = "of no conversation"


NOT_USED: Final = frozenset({Damage.UNREADABLE, Damage.KEPT_TOO_LONG, Damage.AHEAD, Damage.OF_NOBODY})
"""No draft goes wrong by these: what cannot be read, or shows another version, is made anew for the next one."""


@dataclass(frozen=True, kw_only=True)
class ConversationMemoryProbe:
    """Reads a sample of the memories in Redis, and compares it with PostgreSQL.

    A memory that shows an older version of its conversation is no damage: the next reader makes a new one.

    Parameters
    ----------
    redis : SurveysServers
        Where memories are.
    connect : callable
        Yields a connection.
    sample : int
        Conversations to look at.
    """

    redis: SurveysServers
    connect: Connect
    sample: int

    id: ClassVar[str] = "conversation-memory"
    title: ClassVar[str] = "Conversation memory"
    group: ClassVar[str] = "memory"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while Redis or PostgreSQL is away."""
        stored = await sample_memories(self.redis, self.sample)
        known = [memory.conversation_id for memory in stored if memory.conversation_id is not None]
        # Read after the memories: what is on record is never older than what a memory was made of.
        recorded = await recorded_memories(self.connect, known) if known else {}
        damaged = {memory.key: damage for memory in stored if (damage := damage_of(memory, recorded)) is not None}
        checked = f"{count(len(stored), 'conversation')} looked at"
        if not damaged:
            return Finding(
                status=HealthStatus.HEALTHY,
                summary=checked,
                value=0,
                unit="conversations",
                threshold=0,
                figures={"checked": len(stored)},
            )
        is_used = not NOT_USED.issuperset(damaged.values())
        return Finding(
            status=HealthStatus.CRITICAL if is_used else HealthStatus.WARNING,
            summary=f"{len(damaged)} of {checked}: {_kinds(damaged.values())}",
            value=len(damaged),
            unit="conversations",
            threshold=0,
            hint="delete these keys: they are made anew from PostgreSQL. Who else writes to this Redis?",
            figures={"checked": len(stored), "keys": ", ".join(sorted(damaged)[:3])},
        )


def damage_of(memory: StoredMemory, recorded: Mapping[int, RecordedMemory]) -> Damage | None:
    """Return what is wrong with a memory, the worst first; None if nothing is.

    Parameters
    ----------
    memory : StoredMemory
        As it lies in Redis.
    recorded : mapping
        What PostgreSQL has, by conversation.
    """
    record = recorded.get(memory.conversation_id) if memory.conversation_id is not None else None
    if record is None or record.key != memory.key:
        return Damage.OF_NOBODY
    if not memory.is_list or memory.version is None or memory.messages is None:
        return Damage.UNREADABLE
    if memory.version[0] > record.version[0] or memory.version[1] > record.version[1]:
        return Damage.AHEAD
    if memory.length > MAX_HISTORY_LENGTH + 1:  # its head is the version
        return Damage.TOO_LONG
    if any(earlier[0] > later[0] for earlier, later in pairwise(memory.messages)):
        return Damage.OUT_OF_ORDER
    if memory.version == record.version and memory.messages != record.messages:
        return Damage.DISAGREES
    if not 0 <= memory.seconds_left <= MEMORY_TTL_SECONDS:
        return Damage.KEPT_TOO_LONG
    return None


def _kinds(found: Iterable[Damage]) -> str:
    every = list(found)
    return ", ".join(f"{every.count(kind)} {kind}" for kind in Damage if kind in every)
