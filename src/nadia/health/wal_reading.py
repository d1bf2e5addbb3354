"""What the probes of the WAL stream know: one script, which those that ask at the same moment share."""

from dataclasses import dataclass
from typing import Final, cast

from nadia.redis.commands import Command, SendsCommands
from nadia.redis.keys import WAL_GROUP, WAL_STREAM
from nadia.shared_calls import SharedCalls

MOST_STUCK: Final = 100
"""Stuck entries are counted up to here."""

# Entries are deleted with their acknowledgement, so that the stream's length is the group's lag and what is pending;
# Redis itself does not know the lag of a stream from whose middle something was deleted.
# KEYS: stream. ARGV: group, idle time (milliseconds) from which an entry is stuck, most to count.
_STATE: Final = """
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
local entries = redis.call('XLEN', KEYS[1])
if pending.err then return {entries, 0, 0, 0, 0} end
local stuck = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[2], '-', '+', ARGV[3])
local longest = 0
for _, entry in ipairs(stuck) do longest = math.max(longest, entry[3]) end
return {entries, 1, pending[1], #stuck, longest}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalReading:
    """How the stream of batches that wait for a draft is.

    Parameters
    ----------
    entries : int
        Batches on the stream: not yet read (the group's lag), and read but not acknowledged (pending).
    pending : int
        Those that a worker has read.
    has_group : bool
        Whether the workers' consumer group is there; the first worker that reads makes it.
    stuck : int
        Pending entries that their worker has not touched for too long and nobody has taken over, at most 100.
    idle_seconds : float
        How long the one of them was not touched that waits longest.
    """

    entries: int
    pending: int
    has_group: bool
    stuck: int
    idle_seconds: float


class WalReader:
    """Reads how the stream is.

    Parameters
    ----------
    redis : SendsCommands
        Where the stream is.
    stuck_seconds : float
        How long an entry may stay untouched: the lease of a worker's entry, and some time to take it over.
    """

    def __init__(self, *, redis: SendsCommands, stuck_seconds: float) -> None:
        self._redis = redis
        self._stuck_milliseconds = int(stuck_seconds * 1000)
        self._calls: SharedCalls[str, WalReading] = SharedCalls()

    async def read(self) -> WalReading:
        """Return how it is; those who ask at the same moment get the same reading.

        Raises
        ------
        UnavailableError
            If Redis is away.
        """
        return await self._calls.run("wal", self._read)

    async def _read(self) -> WalReading:
        (answer,) = await self._redis.send(
            [Command(("EVAL", _STATE, 1, WAL_STREAM, WAL_GROUP, self._stuck_milliseconds, MOST_STUCK))]
        )
        entries, has_group, pending, stuck, idle = cast("list[int]", answer)
        return WalReading(
            entries=entries, pending=pending, has_group=bool(has_group), stuck=stuck, idle_seconds=idle / 1000
        )
