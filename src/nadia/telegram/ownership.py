"""Who acts for a Telegram account: exactly one process at a time.

The owner is a row in PostgreSQL with holder, expiry by the database's clock, and a fencing token that every intake and
sending transaction checks. A holder stops before its expiry by its own monotonic clock; a successor waits for the
expiry plus a grace, longer than any transaction of the holder may still run.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from nadia.errors import ConflictError
from nadia.postgres.database import Connection, Database
from nadia.postgres.leases import SAFETY_SECONDS, Tenure, deadline_of, uptime
from nadia.telegram.gateway import State

# A name stands for one account of one network for good: its state and its messages are that network's.
_REGISTER = """
INSERT INTO telegram_accounts (id, network) VALUES (%(account_id)s, %(network)s) ON CONFLICT (id) DO NOTHING
"""

_NETWORK = "SELECT network FROM telegram_accounts WHERE id = %(account_id)s"

# Free, expired beyond its grace, or left behind by a process of the same home that is surely dead.
_ACQUIRE = """
UPDATE telegram_accounts SET
    holder = %(holder)s, fencing_token = fencing_token + 1, expires_at = clock_timestamp() + %(lease)s,
    owned_since = clock_timestamp()
WHERE id = %(account_id)s
  AND (expires_at IS NULL OR expires_at + %(grace)s < clock_timestamp()
       OR %(succeeds)s <> '' AND split_part(holder, '/', 1) = %(succeeds)s)
RETURNING fencing_token, update_state
"""

_RENEW = """
UPDATE telegram_accounts SET expires_at = clock_timestamp() + %(lease)s
WHERE id = %(account_id)s AND fencing_token = %(fencing_token)s AND expires_at > clock_timestamp()
RETURNING id
"""

_RELEASE = """
UPDATE telegram_accounts SET holder = NULL, expires_at = NULL
WHERE id = %(account_id)s AND fencing_token = %(fencing_token)s
"""

# Update state follows the rows: it is stored after everything up to it is committed, by the owner only.
_STORE_STATE = """
UPDATE telegram_accounts SET update_state = %(state)s::jsonb, update_state_at = clock_timestamp()
WHERE id = %(account_id)s AND fencing_token = %(fencing_token)s AND expires_at > clock_timestamp()
"""

# The share lock holds up a take-over until the caller's transaction has ended.
_OWNS = """
SELECT id FROM telegram_accounts
WHERE id = %(account_id)s AND fencing_token = %(fencing_token)s AND expires_at > clock_timestamp()
FOR SHARE
"""


@dataclass(slots=True, kw_only=True)
class Ownership(Tenure):
    """An account that this process owns.

    Parameters
    ----------
    account_id : str
        The account.
    state : mapping or None
        Where the updates were read up to, as last stored.
    """

    account_id: str
    state: State | None


class Ownerships:
    """Acquires, renews and gives up accounts.

    Parameters
    ----------
    database : Database
        Where the rows are.
    holder : str
        Names this process, as ``<home or host>/<pid>/<random>``; the first part holds no ``/``.
    lease_seconds : float
        How long an ownership lives without renewal; longer than the second that a holder stops early.
    grace_seconds : float
        How much longer a successor waits.
    succeeds : str
        First part of the holder's name of processes that are surely dead, because their home's lock is ours.
    monotonic : callable
        This process's clock, seconds.
    """

    def __init__(
        self,
        *,
        database: Database,
        holder: str,
        lease_seconds: float,
        grace_seconds: float,
        succeeds: str = "",
        monotonic: Callable[[], float] = uptime,
    ) -> None:
        if holder.startswith("/"):
            raise ValueError("the first part of a holder's name is empty: it must tell processes of one home apart")
        if lease_seconds <= SAFETY_SECONDS:
            raise ValueError(f"a lease of {lease_seconds} s is over before it begins: {SAFETY_SECONDS} s are kept back")
        self._database = database
        self._holder = holder
        self._lease_seconds = lease_seconds
        self._grace = timedelta(seconds=grace_seconds)
        self._succeeds = succeeds
        self._monotonic = monotonic

    async def register(self, account_id: str, network: str) -> None:
        """Make the account known; raises what `register` does."""
        async with self._database.connection() as conn:
            await register(conn, account_id=account_id, network=network)

    async def acquire(self, account_id: str) -> Ownership | None:
        """Become the account's owner; None while another process is."""
        begun = self._monotonic()
        async with self._database.connection() as conn:
            cursor = await conn.execute(
                _ACQUIRE,
                {
                    "account_id": account_id,
                    "holder": self._holder,
                    "lease": timedelta(seconds=self._lease_seconds),
                    "grace": self._grace,
                    "succeeds": self._succeeds,
                },
            )
            row = await cursor.fetchone()
        if row is None:
            return None
        return Ownership(
            account_id=account_id,
            fencing_token=row["fencing_token"],
            state=row["update_state"],
            deadline=deadline_of(begun, self._lease_seconds),
            monotonic=self._monotonic,
        )

    async def renew(self, ownership: Ownership) -> bool:
        """Prolong an ownership; False if it is lost, and this process must stop acting for the account."""
        begun = self._monotonic()
        values = {
            "account_id": ownership.account_id,
            "fencing_token": ownership.fencing_token,
            "lease": timedelta(seconds=self._lease_seconds),
        }
        async with self._database.connection() as conn:
            kept = await (await conn.execute(_RENEW, values)).fetchone()
        if kept is None:
            ownership.deadline = begun
            return False
        ownership.deadline = deadline_of(begun, self._lease_seconds)
        return True

    async def release(self, ownership: Ownership) -> None:
        """Give an account up, after its connection is closed: the next owner need not wait."""
        async with self._database.connection() as conn:
            await conn.execute(_RELEASE, {"account_id": ownership.account_id, "fencing_token": ownership.fencing_token})

    async def store_state(self, ownership: Ownership, state: State) -> None:
        """Remember where the updates were read up to; a lost ownership stores nothing."""
        values = {
            "account_id": ownership.account_id,
            "fencing_token": ownership.fencing_token,
            "state": json.dumps(state),
        }
        async with self._database.connection() as conn:
            if (await conn.execute(_STORE_STATE, values)).rowcount:
                ownership.state = state


async def register(conn: Connection, *, account_id: str, network: str) -> None:
    """Make an account known.

    Raises
    ------
    ConflictError
        If it is known as one of another network.
    """
    values = {"account_id": account_id, "network": network}
    await conn.execute(_REGISTER, values)
    row = await (await conn.execute(_NETWORK, values)).fetchone()
    if row and row["network"] != network:
        raise ConflictError(
            f"the account {account_id} is one of the network {row['network']}, not of {network}",
            hint="choose another name for it: --account, or NADIA_TELEGRAM_ACCOUNT",
        )


async def owns(conn: Connection, *, account_id: str, fencing_token: int) -> bool:
    """Tell whether the token is still the owner's, and stays it until the caller's transaction ends."""
    row = await (await conn.execute(_OWNS, {"account_id": account_id, "fencing_token": fencing_token})).fetchone()
    return row is not None
