"""Enrolling, confirming and removing the second factor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nadia.accounts import store
from nadia.accounts.models import Account
from nadia.accounts.proofs import Proofs
from nadia.accounts.secrets import digest_of_code, new_recovery_code
from nadia.accounts.totp import SecretBox, enrolment_uri, matching_step, new_totp_secret
from nadia.clock import Clock
from nadia.errors import ConflictError, InvalidInputError
from nadia.postgres.database import Connection, Database

RECOVERY_CODES: Final = 10


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app needs; shown until it is confirmed."""

    secret: str
    uri: str


class SecondFactorService:
    """Time-based codes and recovery codes of an account.

    Parameters
    ----------
    database : Database
        Where secrets (encrypted) and recovery codes (hashed) are.
    proofs : Proofs
        Checks that it is the owner who changes something.
    box : SecretBox
        Encrypts secrets.
    clock : Clock
        Says what time it is.
    """

    def __init__(self, *, database: Database, proofs: Proofs, box: SecretBox, clock: Clock) -> None:
        self._database = database
        self._proofs = proofs
        self._box = box
        self._clock = clock

    async def enrol(self, account: Account, *, password: str) -> Enrolment:
        """Begin to enrol: a new secret that counts from its confirmation.

        Parameters
        ----------
        account : Account
            Whose.
        password : str
            The owner's, so that a stolen session cannot lock them out; ignored if they have none.

        Raises
        ------
        InvalidInputError
            If the password is wrong.
        ConflictError
            If a second factor is in force.
        """
        if account.has_second_factor:
            raise _in_force()  # before the proof: nothing that could be tried here
        await self._proofs.password(account.id, password, field="password")
        secret = new_totp_secret()
        async with self._database.connection() as conn:
            cursor = await conn.execute(store.SET_TOTP, {"id": account.id, "secret": self._box.seal(secret)})
        if cursor.rowcount == 0:
            raise _in_force()
        return Enrolment(secret, enrolment_uri(secret, name=account.name))

    async def confirm(self, account: Account, code: str, *, actor: str) -> list[str]:
        """Put the enrolled secret in force with a first code, and return recovery codes, shown this once.

        Raises
        ------
        InvalidInputError
            If the code is wrong.
        ConflictError
            If nothing waits to be confirmed.
        """
        now = self._clock()
        async with self._database.transaction() as conn:
            row = await store.one(conn, store.TOTP_SECRET, id=account.id)
            if row is None or row["totp_secret"] is None:
                raise ConflictError("there is nothing to confirm", hint="begin to enrol first")
            step = matching_step(self._box.open(row["totp_secret"]), code, now=now)
            if step is None:
                raise InvalidInputError("is wrong", field="code", hint="check that the clock of your device is right")
            confirmed = await store.one(
                conn, store.CONFIRM_TOTP, id=account.id, secret=row["totp_secret"], now=now, step=step
            )
            if confirmed is None:
                raise ConflictError("there is nothing to confirm", hint="begin to enrol first")
            codes = await _replace_recovery_codes(conn, account)
            await store.audit(conn, now=now, actor=actor, action="account.second_factor_enrolled", account=account)
        return codes

    async def renew_recovery_codes(self, account: Account, code: str, *, actor: str) -> list[str]:
        """Replace the recovery codes; the old ones are void.

        Raises
        ------
        InvalidInputError
            If the code is wrong.
        ConflictError
            If there is no second factor.
        """
        _require_enrolled(account)
        await self._proofs.code(account.id, code, field="code")
        async with self._database.transaction() as conn:
            codes = await _replace_recovery_codes(conn, account)
            await store.audit(
                conn, now=self._clock(), actor=actor, action="account.recovery_codes_renewed", account=account
            )
        return codes

    async def remove(self, account: Account, code: str, *, actor: str) -> None:
        """Remove the second factor, as its owner.

        Raises
        ------
        InvalidInputError
            If the code is wrong.
        ConflictError
            If there is none.
        """
        _require_enrolled(account)
        await self._proofs.code(account.id, code, field="code")
        await self.remove_for(account, actor=actor)

    async def remove_for(self, account: Account, *, actor: str) -> None:
        """Remove the second factor of someone who lost it, as an admin."""
        async with self._database.transaction() as conn:
            await conn.execute(store.CLEAR_TOTP, {"id": account.id})
            await conn.execute(store.CLEAR_RECOVERY_CODES, {"id": account.id})
            await store.audit(
                conn,
                now=self._clock(),
                actor=actor,
                action="account.second_factor_removed",
                account=account,
                before={"second_factor": account.has_second_factor},
                after={"second_factor": False},
            )

    async def recovery_codes_left(self, account: Account) -> int:
        """Return how many recovery codes are unused."""
        async with self._database.connection() as conn:
            row = await store.one(conn, store.COUNT_RECOVERY_CODES, id=account.id)
        return row["count"] if row else 0


def _in_force() -> ConflictError:
    return ConflictError("a second factor is in force already", hint="remove it first")


def _require_enrolled(account: Account) -> None:
    if not account.has_second_factor:
        raise ConflictError("there is no second factor", hint="enrol one first")


async def _replace_recovery_codes(conn: Connection, account: Account) -> list[str]:
    codes = [new_recovery_code() for _ in range(RECOVERY_CODES)]
    hashes: Sequence[bytes] = [digest_of_code(code) for code in codes]
    await conn.execute(store.CLEAR_RECOVERY_CODES, {"id": account.id})
    await conn.execute(store.ADD_RECOVERY_CODES, {"id": account.id, "hashes": hashes})
    return codes
