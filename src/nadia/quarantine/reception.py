"""A silenced customer's message goes into quarantine as it comes in, without waiting for the end of the burst."""

from nadia.postgres.database import Database
from nadia.quarantine import store
from nadia.quarantine.cache import ProtocolStatusCache
from nadia.quarantine.gate import SilenceGate


class Reception:
    """What intake asks of quarantine.

    Parameters
    ----------
    database : Database
        Where messages are.
    status : ProtocolStatusCache
        Says cheaply that a customer is not silenced, as most are.
    """

    def __init__(self, *, database: Database, status: ProtocolStatusCache) -> None:
        self._database = database
        self._status = status
        self._gate = SilenceGate()

    async def take_in(self, conversation_id: int) -> bool:
        """Hold what the customer wrote; False where it goes the way of every message.

        Nothing depends on this: sealing asks PostgreSQL. So nobody is asked while the status cannot be remembered.

        Raises
        ------
        UnavailableError
            If PostgreSQL is away.
        """
        if not self._status.hears or not await self._status.is_silenced(conversation_id):
            return False
        async with self._database.transaction() as conn:
            await store.lock_conversation(conn, conversation_id)
            return await self._gate.hold(conn, conversation_id, is_whole_burst=False) > 0
