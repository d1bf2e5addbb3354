"""Sessions of people who logged in with a browser."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from nadia.accounts import metrics, store
from nadia.accounts.errors import SecondFactorRequiredError, ThrottledError, UnauthenticatedError
from nadia.accounts.models import Account, LinkPurpose, Principal, Session
from nadia.accounts.proofs import Proofs, wrong_credentials
from nadia.accounts.secrets import digest, new_secret
from nadia.accounts.throttle import AddressThrottle
from nadia.clock import Clock
from nadia.postgres.database import Connection, Database

log = structlog.get_logger(__name__)

# Written at most this often, so that reading a page is not a write.
_SEEN_EVERY: Final = timedelta(minutes=1)
_KEEP_ENDED: Final = timedelta(days=30)
_LONGEST_USER_AGENT: Final = 300


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session just begun, with the secret that the browser keeps."""

    secret: str
    account: Account
    expires_at: datetime


class SessionService:
    """Begins, finds and ends sessions.

    Parameters
    ----------
    database : Database
        Where sessions are.
    proofs : Proofs
        Checks passwords and codes.
    throttle : AddressThrottle
        Slows down addresses that guess.
    clock : Clock
        Says what time it is.
    idle : timedelta
        A session unused for this long is over.
    lifetime : timedelta
        A session is over after this long in any case.
    """

    def __init__(
        self,
        *,
        database: Database,
        proofs: Proofs,
        throttle: AddressThrottle,
        clock: Clock,
        idle: timedelta,
        lifetime: timedelta,
    ) -> None:
        self._database = database
        self._proofs = proofs
        self._throttle = throttle
        self._clock = clock
        self._idle = idle
        self._lifetime = lifetime

    async def log_in(
        self, *, name: str, password: str, code: str | None = None, address: str, user_agent: str = ""
    ) -> NewSession:
        """Begin a session with name, password and, where enrolled, a code of the second factor.

        Raises
        ------
        ThrottledError
            If the address guessed too often.
        UnauthenticatedError
            If what was shown is wrong; SecondFactorRequiredError if only the code lacks.
        """
        try:
            self._throttle.take(address)
            known = await self._proofs.log_in(name=name, password=password, code=code)
            async with self._database.transaction() as conn:
                if not await store.one(conn, store.ACCEPT, id=known.account.id, password_hash=known.password_hash):
                    raise wrong_credentials(known.account.id)
                session = await self.begin(conn, known.account, user_agent=user_agent, how="password")
        except (ThrottledError, UnauthenticatedError) as exc:
            metrics.logins.labels(outcome=_outcome(exc)).inc()
            tried = exc.account_id if isinstance(exc, UnauthenticatedError) else None
            log.info("accounts.login_refused", address=address, reason=_outcome(exc), account_id=tried)
            if isinstance(exc, SecondFactorRequiredError):
                self._throttle.give_back(address)
            raise
        self._throttle.give_back(address)
        metrics.logins.labels(outcome="success").inc()
        return session

    async def log_in_by_link(self, secret: str, *, user_agent: str = "") -> NewSession:
        """Begin a session with a one-time log-in link, once.

        Whoever can read the terminal that printed the link runs the installation; no second factor is asked for.

        Raises
        ------
        UnauthenticatedError
            If the link is unknown, used or too old.
        """
        now = self._clock()
        async with self._database.transaction() as conn:
            row = await store.one(
                conn, store.FIND_LINK, hash=digest(secret), purposes=[LinkPurpose.LOGIN.value], now=now
            )
            if row is None or await store.one(conn, store.USE_LINK, hash=digest(secret), now=now) is None:
                metrics.logins.labels(outcome="link_refused").inc()
                raise UnauthenticatedError(
                    "this link was used before or is too old", hint="make a new one with: nadia login-link"
                )
            session = await self.begin(conn, store.account_from(row), user_agent=user_agent, how="link")
        metrics.logins.labels(outcome="link").inc()
        return session

    async def begin(self, conn: Connection, account: Account, *, user_agent: str, how: str) -> NewSession:
        """Begin a session within the caller's transaction, for someone whose proof was checked.

        Parameters
        ----------
        conn : Connection
            Inside a transaction.
        account : Account
            Whose.
        user_agent : str
            The browser's name of itself.
        how : str
            What the proof was, for the audit log.
        """
        now = self._clock()
        secret, expires_at = new_secret(), now + self._lifetime
        await conn.execute(store.CLEAR_OLD_SESSIONS, {"id": account.id, "before": now - _KEEP_ENDED})
        await conn.execute(
            store.CREATE_SESSION,
            {
                "hash": digest(secret),
                "id": account.id,
                "now": now,
                "expires_at": expires_at,
                "user_agent": user_agent[:_LONGEST_USER_AGENT],
            },
        )
        await store.audit(
            conn,
            now=now,
            actor=account.reference,
            action="account.logged_in",
            account=account,
            after={"how": how},
        )
        return NewSession(secret, account, expires_at)

    async def resolve(self, secret: str) -> Principal:
        """Say whose session this is, and note that it was used.

        Raises
        ------
        UnauthenticatedError
            If there is no such session, or it is over.
        """
        now = self._clock()
        async with self._database.connection() as conn:
            row = await store.one(
                conn, store.RESOLVE_SESSION, hash=digest(secret), now=now, idle_since=now - self._idle
            )
            if row is None:
                raise UnauthenticatedError("the session is over", hint="log in again")
            if now - row["last_seen_at"] >= _SEEN_EVERY:
                await conn.execute(store.TOUCH_SESSION, {"hash": digest(secret), "now": now})
        account = store.account_from(row)
        return Principal(account, account.role, "session")

    async def log_out(self, secret: str) -> None:
        """End a session; nothing happens if it is over already."""
        now = self._clock()
        async with self._database.transaction() as conn:
            row = await store.one(conn, store.REVOKE_SESSION, hash=digest(secret), now=now)
            if row is None:
                return
            found = await store.one(conn, store.BY_ID, id=row["account_id"])
            assert found is not None
            account = store.account_from(found)
            await store.audit(conn, now=now, actor=account.reference, action="account.logged_out", account=account)

    async def of(self, account: Account, *, current: str | None = None) -> list[Session]:
        """Return the open sessions of an account, the one used last first.

        Parameters
        ----------
        account : Account
            Whose.
        current : str, optional
            Secret of the session that asks, which is marked.
        """
        now, own = self._clock(), digest(current) if current else None
        async with self._database.connection() as conn:
            rows = await store.many(conn, store.SESSIONS, id=account.id, now=now, idle_since=now - self._idle)
        return [
            Session(
                row["created_at"],
                row["last_seen_at"],
                row["expires_at"],
                row["user_agent"],
                current=bytes(row["token_hash"]) == own,
            )
            for row in rows
        ]

    async def revoke_all(self, account: Account, *, actor: str, keep: str | None = None) -> int:
        """End all sessions of an account and revoke its tokens: whichever of them leaked is void.

        Parameters
        ----------
        account : Account
            Whose.
        actor : str
            Who does it, for the audit log.
        keep : str, optional
            Secret of a session that goes on.

        Returns
        -------
        int
            How many sessions there were.
        """
        now = self._clock()
        async with self._database.transaction() as conn:
            ended = await store.revoke_access(conn, account, now=now, keep=digest(keep) if keep else None)
            await store.audit(
                conn,
                now=now,
                actor=actor,
                action="account.sessions_revoked",
                account=account,
                after=ended,
            )
            return ended["sessions"]


def _outcome(error: Exception) -> str:
    if isinstance(error, ThrottledError):
        return "throttled"
    return "second_factor_required" if isinstance(error, SecondFactorRequiredError) else "refused"
