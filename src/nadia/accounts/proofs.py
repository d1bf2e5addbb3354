"""Whether someone is who they say: password and second factor, with guesses counted.

Nothing in an answer or in its timing tells a wrong password from an unknown, locked or disabled account.
"""

import asyncio
from datetime import timedelta
from typing import Final, NoReturn

from nadia.accounts import store
from nadia.accounts.errors import SecondFactorRequiredError, UnauthenticatedError
from nadia.accounts.passwords import PasswordHasher
from nadia.accounts.secrets import digest_of_code
from nadia.accounts.store import Credentials
from nadia.accounts.totp import SecretBox, matching_step
from nadia.clock import Clock
from nadia.errors import InvalidInputError
from nadia.postgres.database import Database

FAILURE_FLOOR: Final = timedelta(milliseconds=400)
"""No failed log-in is answered sooner; well above what hashing and counting take, so that neither shows."""


class Proofs:
    """Checks what people show.

    Parameters
    ----------
    database : Database
        Where guesses are counted.
    passwords : PasswordHasher
        Compares passwords.
    box : SecretBox
        Opens TOTP secrets.
    clock : Clock
        Says what time it is.
    failure_floor : timedelta
        Shortest time until a failed log-in is answered.
    """

    def __init__(
        self,
        *,
        database: Database,
        passwords: PasswordHasher,
        box: SecretBox,
        clock: Clock,
        failure_floor: timedelta = FAILURE_FLOOR,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._box = box
        self._clock = clock
        self._failure_floor = failure_floor

    async def log_in(self, *, name: str, password: str, code: str | None) -> Credentials:
        """Return what is on record for name, password and code, if they are right.

        The guess stays counted until the caller, in the transaction that lets them in, runs ``store.ACCEPT``.

        Raises
        ------
        UnauthenticatedError
            If they do not fit together.
        SecondFactorRequiredError
            If all that lacks is the code.
        """
        earliest_failure = asyncio.get_running_loop().time() + self._failure_floor.total_seconds()
        async with self._database.connection() as conn:
            known = await store.reserve_guess(conn, now=self._clock(), name=name)
            # A locked account gives no credentials; the log should say whose they were nevertheless.
            owner = known.account.id if known else await store.id_of(conn, name)
        # Hashing happens outside the connection: a flood of guesses must not hold up the pool.
        right = await self._passwords.verify(known.password_hash if known else None, password)
        if known is None or not right or not known.account.active:
            await self._fail(earliest_failure, owner)
        if known.totp_secret is not None:
            if not code:
                # The password was right: not a guess. Said at once, as the answer itself tells it.
                await self._forget(known, store.RETURN_GUESS)
                raise SecondFactorRequiredError(
                    "a code of your authenticator app is needed", hint="a recovery code works too", account_id=owner
                )
            if not await self._code_is_right(known, code):
                await self._fail(earliest_failure, owner)
        return known

    async def password(self, account_id: int, password: str, *, field: str) -> None:
        """Check the password of someone who is logged in; without one there is nothing to check.

        Where a second factor is in force a right password forgives nothing but its own guess: whoever knows it could
        otherwise guess codes without end, wiping the count in between.

        Raises
        ------
        InvalidInputError
            If it is wrong.
        """
        known = await self._reserve(account_id, field)
        if known.password_hash is not None and not await self._passwords.verify(known.password_hash, password):
            raise InvalidInputError("is wrong", field=field)
        await self._forget(known, store.FORGIVE_GUESSES if known.totp_secret is None else store.RETURN_GUESS)

    async def code(self, account_id: int, code: str, *, field: str) -> None:
        """Check a code of the second factor, or a recovery code, of someone who is logged in.

        Raises
        ------
        InvalidInputError
            If it is wrong or was used before.
        """
        known = await self._reserve(account_id, field)
        if known.totp_secret is not None and not await self._code_is_right(known, code):
            raise InvalidInputError("is wrong or was used before", field=field, hint="wait for the next code")
        await self._forget(known, store.FORGIVE_GUESSES)

    async def _reserve(self, account_id: int, field: str) -> Credentials:
        async with self._database.connection() as conn:
            known = await store.reserve_guess(conn, now=self._clock(), account_id=account_id)
        if known is None:
            raise InvalidInputError("was wrong too often", field=field, hint="wait 15 minutes and try again")
        return known

    async def _code_is_right(self, known: Credentials, code: str) -> bool:
        assert known.totp_secret is not None
        now = self._clock()
        step = matching_step(self._box.open(known.totp_secret), code, now=now)
        async with self._database.connection() as conn:
            if step is not None:
                return await store.one(conn, store.USE_TOTP_STEP, id=known.account.id, step=step) is not None
            used = await store.one(
                conn, store.USE_RECOVERY_CODE, id=known.account.id, hash=digest_of_code(code), now=now
            )
            return used is not None

    async def _forget(self, known: Credentials, statement: str) -> None:
        async with self._database.connection() as conn:
            await conn.execute(statement, {"id": known.account.id})

    async def _fail(self, earliest: float, account_id: int | None) -> NoReturn:
        await asyncio.sleep(max(0.0, earliest - asyncio.get_running_loop().time()))
        raise wrong_credentials(account_id)


def wrong_credentials(account_id: int | None) -> UnauthenticatedError:
    """Return the one answer to everything that does not let someone in.

    Parameters
    ----------
    account_id : int or None
        The account that was tried, if there is one.
    """
    return UnauthenticatedError(
        "name, password or code is wrong, or there were too many attempts",
        hint="after several wrong attempts wait 15 minutes, or ask an admin for a reset link",
        account_id=account_id,
    )
