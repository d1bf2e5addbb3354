"""Telegram accounts of an installation: their sessions on record, and gateways made from them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from nadia.app.revocation import record_well
from nadia.app.session_keys import session_keys
from nadia.conversations import audit
from nadia.conversations.pauses import Activity, is_paused
from nadia.errors import ConflictError, InvalidInputError, NadiaError, NotFoundError
from nadia.postgres.database import Database
from nadia.settings import Config
from nadia.telegram import account_status, sessions
from nadia.telegram.account_status import LOGGED_OUT, AccountStatus
from nadia.telegram.config import ACCOUNT_NAME, NAME_RULE
from nadia.telegram.gateway import Gateway
from nadia.telegram.ownership import Ownership, Ownerships, register
from nadia.telegram.session_key import SessionKey, SessionKeyError, SessionKeySource
from nadia.telegram.session_material import SessionMaterial
from nadia.telegram.sessions import StoredSession

if TYPE_CHECKING:
    from nadia.telegram.entities import EntityResolver
    from nadia.telegram.limiter import RequestLimiter

log = structlog.get_logger(__name__)

NETWORK: Final = "telegram"

_LETTING_GO_SECONDS: Final = 10.0
"""What a bot needs at most to see that its session has ended, and to end in order."""

_ASK_AGAIN_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """How a log-out went.

    Parameters
    ----------
    at_telegram : bool
        Whether Telegram has ended the session.
    reason : str
        Why not; empty when it has.
    """

    at_telegram: bool
    reason: str


class TelegramLogins:
    """Keeps the sessions of accounts that people log in and out, on record with who did it.

    Parameters
    ----------
    database : Database
        Where the sessions are.
    keys : SessionKeySource
        Where the key is that they are encrypted with.
    """

    def __init__(self, *, database: Database, keys: SessionKeySource) -> None:
        self._database = database
        self._keys = keys

    async def prepare(self, account_id: str) -> SessionKey:
        """Find out what would keep a session from being stored, before a person is asked for anything.

        Returns
        -------
        SessionKey
            The one to encrypt with, made here if this is the first log-in of all.

        Raises
        ------
        InvalidInputError
            If the name cannot be one.
        ConflictError
            If the name is one of another network.
        SessionKeyError
            If the key cannot be used, or is missing while other accounts depend on it.
        """
        if not ACCOUNT_NAME.fullmatch(account_id):
            raise InvalidInputError(f"{account_id!r} is no name of an account", field="--account", hint=NAME_RULE)
        async with self._database.transaction() as conn:
            await register(conn, account_id=account_id, network=NETWORK)
            others = [name for name in await sessions.accounts_with_session(conn) if name != account_id]
        if not self._keys.is_missing:
            return self._keys.read()
        if others:
            raise SessionKeyError(
                f"the key of the sessions of {', '.join(others)} is missing: there is no {self._keys.path}",
                hint="bring it back, or name it with NADIA_TELEGRAM_SESSION_KEY_FILE; if it is lost, end those with "
                "`nadia telegram logout`, and log all in again",
            )
        return self._keys.make()

    async def keep(self, account_id: str, material: SessionMaterial, *, key: SessionKey, actor: str) -> int:
        """Put a fresh session on record, and return its version.

        Raises
        ------
        ConflictError
            If the name belongs to another account of Telegram's.
        """
        async with self._database.transaction() as conn:
            before = await sessions.find(conn, account_id)
            version = await sessions.save(conn, account_id=account_id, material=material, key=key)
            await audit.record(
                conn,
                actor=actor,
                action="telegram.logged_in",
                subject=f"telegram_account:{account_id}",
                before=None if before is None else {"version": before.version, "revoked": before.revoked_reason},
                after={"version": version, "user_id": material.user_id, "is_bot": material.is_bot},
            )
            await record_well(conn, account_id, summary=f"Account {account_id} was logged in again.")
        log.info("telegram.logged_in", account=account_id, version=version)
        return version

    async def log_out(
        self,
        account_id: str,
        *,
        actor: str,
        ownerships: Ownerships,
        patience: float,
        end_at_telegram: Callable[[SessionMaterial], Awaitable[bool]],
    ) -> LoggedOut:
        """End an account's session, here and at Telegram, once no process acts with it.

        Parameters
        ----------
        account_id : str
            The account.
        actor : str
            Who asks.
        ownerships : Ownerships
            Of this process.
        patience : float
            How long to wait for the process that acts for the account to let it go, seconds.
        end_at_telegram : callable
            Ends the session; False if it had ended.

        Raises
        ------
        NotFoundError
            If nobody is logged in under this name.
        ConflictError
            If a process does not let the account go; the session has ended for all others.
        """
        session = await self._end_here(account_id, actor=actor)
        ownership = await _taken_over(ownerships, account_id, patience=patience)
        try:
            try:
                await end_at_telegram(session.open(self._keys.read()))
            except NadiaError as exc:  # what is forgotten here nobody uses again
                outcome = LoggedOut(at_telegram=False, reason=exc.message)
            else:
                outcome = LoggedOut(at_telegram=True, reason="")
            async with self._database.transaction() as conn:
                await sessions.erase(conn, account_id)
                await audit.record(
                    conn,
                    actor=actor,
                    action="telegram.session_erased",
                    subject=f"telegram_account:{account_id}",
                    after={"ended_at_telegram": outcome.at_telegram},
                )
        finally:
            await ownerships.release(ownership)
        log.info("telegram.logged_out", account=account_id, ended_at_telegram=outcome.at_telegram)
        return outcome

    async def _end_here(self, account_id: str, *, actor: str) -> StoredSession:
        """Mark the session as ended, which whoever acts with it sees."""
        async with self._database.transaction() as conn:
            session = await sessions.find(conn, account_id)
            if session is None or not session.ciphertext:
                raise NotFoundError(
                    f"nobody is logged in as {account_id}", hint="`nadia telegram status` lists the accounts"
                )
            if await sessions.revoke(conn, account_id=account_id, version=session.version, reason=LOGGED_OUT):
                await audit.record(
                    conn,
                    actor=actor,
                    action="telegram.logged_out",
                    subject=f"telegram_account:{account_id}",
                    before={"version": session.version, "user_id": session.user_id},
                )
            await record_well(conn, account_id, summary=f"Account {account_id} was logged out.")
        return session


def telegram_logins(config: Config, database: Database) -> TelegramLogins:
    """Return the service for logging Telegram accounts in and out."""
    return TelegramLogins(database=database, keys=session_keys(config))


def telethon_gateway(
    config: Config,
    account_id: str,
    material: SessionMaterial,
    *,
    peers: "EntityResolver",
    limiter: "RequestLimiter",
) -> Gateway:
    """Return an unconnected gateway of an account that is logged in."""
    from nadia.telegram.telethon.gateway import TelethonGateway

    return TelethonGateway(
        account_id=account_id,
        session=material,
        api=config.telegram.api_credentials(),
        data_centre=config.telegram.data_centre,
        peers=peers,
        limiter=limiter,
        request_timeout=config.telegram.request_timeout,
    )


def log_out_patience(config: Config) -> float:
    """Return the seconds after which an account is free, also where its owner died just now."""
    return config.telegram.lease_seconds + config.telegram.lease_grace_seconds + _LETTING_GO_SECONDS


async def overview(database: Database) -> Sequence[tuple[AccountStatus, Sequence[Activity]]]:
    """Return every Telegram account, and what of it is paused."""
    async with database.transaction() as conn:
        return [
            (each, [activity for activity in Activity if await is_paused(conn, activity, each.id)])
            for each in await account_status.overview(conn)
        ]


async def _taken_over(ownerships: Ownerships, account_id: str, *, patience: float) -> Ownership:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while (ownership := await ownerships.acquire(account_id)) is None:
        if loop.time() > deadline:
            raise ConflictError(
                f"a process still acts for {account_id} (`nadia telegram status` names it)",
                hint="stop that process, then log out again: the session has ended for all others",
            )
        await asyncio.sleep(_ASK_AGAIN_SECONDS)
    return ownership
