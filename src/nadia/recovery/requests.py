"""What a person asks of the process that owns an account: two connections with one session could invalidate it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nadia.conversations import audit
from nadia.conversations.messages import NotOwnerError
from nadia.errors import NotFoundError
from nadia.postgres.database import Database
from nadia.recovery.models import Request, RequestKind
from nadia.telegram.ownership import Ownership

WAITS_FOR: Final = timedelta(minutes=2)
"""What nobody has waited for since is not done behind the back of whoever asked and went away."""

_ASK = """
INSERT INTO recovery_requests (telegram_account_id, kind, requested_by)
SELECT id, %(kind)s, %(actor)s FROM telegram_accounts WHERE id = %(account_id)s
RETURNING id
"""

_FIND = "SELECT taken_at, answered_at, answer, error FROM recovery_requests WHERE id = %(request_id)s"

# A run may take hours; whoever asked during one says from time to time that he still waits.
_RENEW = """
UPDATE recovery_requests SET requested_at = clock_timestamp() WHERE id = %(request_id)s AND answered_at IS NULL
"""

# Only what nobody has taken up: the owner answers the rest.
_WITHDRAW = "DELETE FROM recovery_requests WHERE id = %(request_id)s AND taken_at IS NULL RETURNING id"

# One that an owner took up and did not live to answer is taken up again.
_TAKE = """
UPDATE recovery_requests r SET taken_at = clock_timestamp()
FROM telegram_accounts a
WHERE a.id = %(account_id)s AND a.fencing_token = %(fencing_token)s AND a.expires_at > clock_timestamp()
  AND r.id = (
      SELECT id FROM recovery_requests
      WHERE telegram_account_id = %(account_id)s AND answered_at IS NULL
        AND requested_at > clock_timestamp() - %(waits_for)s
      ORDER BY id LIMIT 1
  )
RETURNING r.id, r.kind
"""

_ANSWER = """
UPDATE recovery_requests r SET answered_at = clock_timestamp(), answer = %(answer)s::jsonb, error = %(error)s
FROM telegram_accounts a
WHERE r.id = %(request_id)s AND a.id = r.telegram_account_id
  AND a.fencing_token = %(fencing_token)s AND a.expires_at > clock_timestamp()
RETURNING r.id
"""


@dataclass(frozen=True, slots=True)
class RequestState:
    """How a request stands.

    Parameters
    ----------
    taken_at : datetime or None
        When the owner took it up.
    answered_at : datetime or None
        When it was done.
    answer : mapping or None
        What came of it.
    error : str or None
        Why nothing came of it.
    """

    taken_at: datetime | None
    answered_at: datetime | None
    answer: Mapping[str, object] | None
    error: str | None


class RecoveryRequests:
    """Carries requests from the command line to the owner, and the answers back.

    Parameters
    ----------
    database : Database
        Where they are.
    """

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def ask(self, account_id: str, kind: RequestKind, *, actor: str) -> int:
        """Ask the owner of an account for something; returns the request's id.

        Raises
        ------
        NotFoundError
            If there is no such account.
        """
        values = {"account_id": account_id, "kind": kind.value, "actor": actor}
        async with self._database.transaction() as conn:
            row = await (await conn.execute(_ASK, values)).fetchone()
            if row is None:
                raise NotFoundError(
                    f"there is no Telegram account {account_id!r}", hint="`nadia recover status` lists them"
                )
            if kind is RequestKind.RUN:
                await audit.record(
                    conn, actor=actor, action="recovery.requested", subject=f"telegram_account:{account_id}"
                )
        return int(row["id"])

    async def find(self, request_id: int) -> RequestState:
        """Return how a request stands.

        Raises
        ------
        NotFoundError
            If it is gone.
        """
        async with self._database.connection() as conn:
            row = await (await conn.execute(_FIND, {"request_id": request_id})).fetchone()
        if row is None:
            raise NotFoundError(f"there is no request {request_id}")
        return RequestState(**row)

    async def renew(self, request_id: int) -> None:
        """Say that its answer is still waited for; to be said more often than every `WAITS_FOR`."""
        async with self._database.connection() as conn:
            await conn.execute(_RENEW, {"request_id": request_id})

    async def withdraw(self, request_id: int) -> bool:
        """Take a request back; False if the owner has taken it up."""
        async with self._database.connection() as conn:
            return await (await conn.execute(_WITHDRAW, {"request_id": request_id})).fetchone() is not None

    async def take(self, ownership: Ownership) -> Request | None:
        """Take up what was asked of the owner of an account, oldest first."""
        values = {
            "account_id": ownership.account_id,
            "fencing_token": ownership.fencing_token,
            "waits_for": WAITS_FOR,
        }
        async with self._database.connection() as conn:
            row = await (await conn.execute(_TAKE, values)).fetchone()
        return None if row is None else Request(id=row["id"], kind=RequestKind(row["kind"]))

    async def answer(
        self,
        ownership: Ownership,
        request: Request,
        *,
        answer: Mapping[str, object] | None = None,
        error: str | None = None,
    ) -> None:
        """Say what came of a request.

        Raises
        ------
        NotOwnerError
            If this process no longer owns the account.
        """
        values = {
            "request_id": request.id,
            "fencing_token": ownership.fencing_token,
            "answer": None if answer is None else json.dumps(answer, default=str),
            "error": error,
        }
        async with self._database.connection() as conn:
            if await (await conn.execute(_ANSWER, values)).fetchone() is None:
                raise NotOwnerError("this process no longer owns the Telegram account")
