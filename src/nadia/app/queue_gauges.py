"""The queues' gauges: how many wait, and how long the oldest has."""

from nadia.conversations.metrics import WAL_ENTRIES, WAL_OLDEST_SECONDS
from nadia.delivery.metrics import OUTBOX, OUTBOX_OLDEST_SECONDS
from nadia.health.queue_reading import QueueReader
from nadia.health.wal_reading import WalReader
from nadia.review.metrics import OLDEST_SECONDS


class QueueGauges:
    """Keeps them current in a process that measures.

    Parameters
    ----------
    queues : QueueReader
        Reads PostgreSQL.
    wal : WalReader
        Reads the stream.
    """

    def __init__(self, *, queues: QueueReader, wal: WalReader) -> None:
        self._queues = queues
        self._wal = wal

    async def measure(self) -> None:
        """Bring them up to date; raises UnavailableError while PostgreSQL or Redis is away."""
        queues = await self._queues.read()
        WAL_OLDEST_SECONDS.set(queues.undrafted_seconds or 0)
        OLDEST_SECONDS.set(queues.review_seconds or 0)
        OUTBOX.set(queues.unsent)
        OUTBOX_OLDEST_SECONDS.set(queues.unsent_seconds or 0)
        stream = await self._wal.read()
        WAL_ENTRIES.labels("waiting").set(stream.entries - stream.pending)
        WAL_ENTRIES.labels("pending").set(stream.pending)
