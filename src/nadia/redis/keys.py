"""Every key that NADIA has in Redis.

The keys of a conversation and the due set of its partition carry the same hash tag, so that each script touches one
slot and the same code runs on a Redis Cluster.
"""

from zlib import crc32

from nadia.constants import PARTITIONS

WAL_STREAM = "nadia:wal"
"""Sealed batches that wait for a draft."""

WAL_GROUP = "drafting"
"""The consumer group of the workers that read it."""

EVENT_STREAM = "nadia:events"
"""What pages show live."""

DUE_HINTS = "nadia:due-hints"
"""Wakes timers that sleep past a burst that has just begun."""

SWEPT_MARK = "nadia:swept"
"""Left by every sweep; gone when Redis was emptied."""

GAUGE_PROCESSES = "nadia:gauges"
"""The processes that show gauges, by when they last did."""

TRACED_UP_TO = "nadia:traced-up-to"
"""The batch whose messages were traced last."""

TRACING_TURN = "nadia:tracing-turn"
"""Held by the worker that traces."""

DAEMON_STATUS = "nadia:daemon:status"
"""What the active daemon last said of itself."""


PERFORMANCE_PROBE = "nadia:performance-probe"
"""Written and removed again by what measures Redis."""


def runs_of(job: str) -> str:
    """Return the list with a scheduled job's last runs, newest first."""
    return f"nadia:runs:{job}"


def figures_of(bucket: int) -> str:
    """Return the hash with what all processes counted in a stretch of time; ``bucket`` numbers stretches since 1970."""
    return f"nadia:figures:{bucket}"


def gauges_of(process: str) -> str:
    """Return the hash with a process's gauges at present."""
    return f"nadia:gauges:{process}"


def partition_of(telegram_account_id: str, chat_id: int) -> int:
    """Return the partition of a conversation, 0 to 63, the same for ever."""
    return crc32(f"{telegram_account_id}:{chat_id}".encode()) % PARTITIONS


def due_set(partition: int) -> str:
    """Return the sorted set of the partition's bursts by the time they are over, milliseconds since 1970."""
    return f"nadia:{{p{partition}}}:due"


def burst(partition: int, conversation_id: int) -> str:
    """Return the hash with the state of a conversation's burst."""
    return f"{bursts_of(partition)}{conversation_id}"


def bursts_of(partition: int) -> str:
    """Return what the keys of a partition's bursts begin with."""
    return f"nadia:{{p{partition}}}:burst:"


def memory(partition: int, conversation_id: int) -> str:
    """Return the list with a conversation's last messages."""
    return f"nadia:{{p{partition}}}:memory:{conversation_id}"


MEMORIES = "nadia:{p*}:memory:*"
"""What SCAN finds conversations' memories by."""


def conversation_of_memory(key: str) -> int | None:
    """Return whose memory a key holds; None where the key is none that `memory` makes."""
    number = key.rpartition(":")[2]
    return int(number) if number.isdecimal() and number.isascii() and len(number) <= 18 else None
