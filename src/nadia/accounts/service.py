"""Accounts as an installation's people see them: who there is, and what each may do."""

import re
from datetime import timedelta
from typing import Final

import structlog
from pydantic import SecretStr

from nadia.accounts import store
from nadia.accounts.api_tokens import TokenService
from nadia.accounts.errors import UnauthenticatedError
from nadia.accounts.models import Account, AccountOverview, IssuedLink, LinkPurpose, Role
from nadia.accounts.passwords import PasswordHasher, checked_password
from nadia.accounts.proofs import FAILURE_FLOOR, Proofs
from nadia.accounts.second_factor import SecondFactorService
from nadia.accounts.secrets import digest, new_secret
from nadia.accounts.sessions import NewSession, SessionService
from nadia.accounts.throttle import AddressThrottle
from nadia.accounts.totp import SecretBox
from nadia.clock import Clock, utc_now
from nadia.errors import ConflictError, InvalidInputError, NotFoundError, RefusedError
from nadia.postgres.database import Connection, Database

log = structlog.get_logger(__name__)

# Letters that look alike in two scripts would make two people one; so names are plain.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


class AccountService:
    """Everything about accounts; ``sessions``, ``tokens`` and ``second_factor`` hold their own parts.

    Every method that takes ``actor`` writes an audit row with it in the same transaction.

    Parameters
    ----------
    database : Database
        Where accounts are.
    secret_key : SecretStr
        The installation's secret key; encrypts second factors.
    session_idle : timedelta
        A session unused for this long is over.
    session_lifetime : timedelta
        A session is over after this long in any case.
    clock : Clock
        Says what time it is.
    failure_floor : timedelta
        Shortest time until a failed log-in is answered.
    """

    def __init__(
        self,
        *,
        database: Database,
        secret_key: SecretStr,
        session_idle: timedelta = timedelta(hours=12),
        session_lifetime: timedelta = timedelta(days=7),
        clock: Clock = utc_now,
        failure_floor: timedelta = FAILURE_FLOOR,
    ) -> None:
        self._database = database
        self._clock = clock
        self._idle = session_idle
        self._passwords = PasswordHasher()
        box = SecretBox(secret_key)
        self._proofs = Proofs(
            database=database, passwords=self._passwords, box=box, clock=clock, failure_floor=failure_floor
        )
        self.sessions = SessionService(
            database=database,
            proofs=self._proofs,
            throttle=AddressThrottle(clock=clock),
            clock=clock,
            idle=session_idle,
            lifetime=session_lifetime,
        )
        self.tokens = TokenService(database=database, clock=clock)
        self.second_factor = SecondFactorService(database=database, proofs=self._proofs, box=box, clock=clock)

    async def exist(self) -> bool:
        """Say whether there is any account yet."""
        async with self._database.connection() as conn:
            row = await store.one(conn, store.COUNT)
        return row is not None and row["count"] > 0

    async def get(self, account_id: int) -> Account:
        """Return an account.

        Raises
        ------
        NotFoundError
            If there is none with that id.
        """
        async with self._database.connection() as conn:
            return await _load(conn, account_id)

    async def by_name(self, name: str) -> Account:
        """Return an account by its name, upper or lower case.

        Raises
        ------
        NotFoundError
            If there is none of that name.
        """
        async with self._database.connection() as conn:
            row = await store.one(conn, store.BY_NAME, name=name)
        if row is None:
            raise NotFoundError(f"there is no account named {name!r}")
        return store.account_from(row)

    async def overview(self) -> list[AccountOverview]:
        """Return all accounts, those in use first, by name."""
        now = self._clock()
        async with self._database.connection() as conn:
            rows = await store.many(conn, store.OVERVIEW, now=now, idle_since=now - self._idle)
        return [store.overview_from(row, now=now) for row in rows]

    async def create_first_admin(self, name: str, *, actor: str) -> Account:
        """Create the account that everything else starts from; it has no password, a log-in link opens it.

        Raises
        ------
        ConflictError
            If there is an account already.
        """
        _check_name(name)
        async with self._database.transaction() as conn:
            await conn.execute(store.LOCK_CREATION)
            row = await store.one(conn, store.COUNT)
            if row is None or row["count"] > 0:
                raise ConflictError("there are accounts already", hint="an admin invites further people")
            return await self._create(conn, name, Role.ADMIN, actor=actor)

    async def invite(self, *, name: str, role: Role, actor: str) -> IssuedLink:
        """Create an account and a link with which its owner chooses a password.

        Raises
        ------
        InvalidInputError
            If the name is not usable.
        ConflictError
            If it is taken.
        """
        _check_name(name)
        async with self._database.transaction() as conn:
            account = await self._create(conn, name, role, actor=actor)
            return await self._issue(conn, account, LinkPurpose.INVITE, actor=actor)

    async def login_link(self, account: Account, *, actor: str) -> IssuedLink:
        """Make a one-time link that logs in, for the terminal of whoever runs the installation.

        Raises
        ------
        RefusedError
            If the account is disabled.
        """
        async with self._database.transaction() as conn:
            return await self._issue(conn, await _load(conn, account.id), LinkPurpose.LOGIN, actor=actor)

    async def reset(self, account: Account, *, actor: str) -> IssuedLink:
        """Make a one-time link with which the owner chooses a new password; the old one holds until then.

        Raises
        ------
        RefusedError
            If the account is disabled.
        """
        async with self._database.transaction() as conn:
            return await self._issue(conn, await _load(conn, account.id), LinkPurpose.RESET, actor=actor)

    async def set_password_by_link(
        self, secret: str, password: str, *, user_agent: str = ""
    ) -> tuple[Account, NewSession | None]:
        """Choose a password with an invitation or reset link, once; sessions and tokens from before are void.

        Returns
        -------
        account : Account
            Whose password it is now.
        session : NewSession or None
            The owner's session; None where a second factor is still to be shown.

        Raises
        ------
        UnauthenticatedError
            If the link is unknown, used or too old.
        InvalidInputError
            If the password is too easy; the link stays good.
        """
        purposes = [LinkPurpose.INVITE.value, LinkPurpose.RESET.value]
        async with self._database.connection() as conn:
            row = await store.one(conn, store.FIND_LINK, hash=digest(secret), purposes=purposes, now=self._clock())
        if row is None:
            raise _dead_link()
        account = store.account_from(row)
        hashed = await self._passwords.hash(checked_password(password, name=account.name))
        now = self._clock()
        async with self._database.transaction() as conn:
            account = await _load(conn, account.id, lock=True)
            if not account.active or await store.one(conn, store.USE_LINK, hash=digest(secret), now=now) is None:
                raise _dead_link()
            await conn.execute(store.SET_PASSWORD, {"id": account.id, "password_hash": hashed})
            await conn.execute(store.FORGIVE_GUESSES, {"id": account.id})
            ended = await store.revoke_access(conn, account, now=now)
            # Whoever chose a password has no use for the other links that lie about.
            await conn.execute(
                store.EXPIRE_LINKS, {"id": account.id, "purposes": [*purposes, LinkPurpose.LOGIN.value], "now": now}
            )
            await store.audit(
                conn,
                now=now,
                actor=account.reference,
                action="account.password_set",
                account=account,
                after={"by": f"{row['purpose']} link", "ended": ended},
            )
            if account.has_second_factor:
                return account, None
            return account, await self.sessions.begin(conn, account, user_agent=user_agent, how=row["purpose"])

    async def change_password(self, account: Account, *, current: str, new: str, keep_session: str) -> None:
        """Change one's own password; one's other sessions end, one's tokens are revoked.

        Parameters
        ----------
        account : Account
            Whose.
        current : str
            The password until now; ignored if there is none yet.
        new : str
            The one from now on.
        keep_session : str
            Secret of the session that asks, which goes on.

        Raises
        ------
        InvalidInputError
            If the current one is wrong or the new one too easy.
        """
        normal = checked_password(new, name=account.name, field="new_password")
        await self._proofs.password(account.id, current, field="current_password")
        hashed, now = await self._passwords.hash(normal), self._clock()
        async with self._database.transaction() as conn:
            await conn.execute(store.SET_PASSWORD, {"id": account.id, "password_hash": hashed})
            ended = await store.revoke_access(conn, account, now=now, keep=digest(keep_session))
            await store.audit(
                conn,
                now=now,
                actor=account.reference,
                action="account.password_changed",
                account=account,
                after={"ended": ended},
            )

    async def change(
        self, account: Account, *, role: Role | None = None, active: bool | None = None, actor: str
    ) -> Account:
        """Change what an account may do and whether it may be used, both or neither; what is left out stays.

        Disabling ends its sessions and revokes its tokens for good; its links do nothing until it is enabled.

        Raises
        ------
        ConflictError
            If the last active admin would be no more.
        """
        async with self._database.transaction() as conn:
            stays_admin = role in (None, Role.ADMIN) and active is not False
            current = await self._load_for_removal(conn, account.id, stays_admin=stays_admin)
            if role is not None:
                await self._set_role(conn, current, role, actor=actor)
            if active is not None:
                await self._set_active(conn, current, active, actor=actor)
            return await _load(conn, account.id)

    async def change_role(self, account: Account, role: Role, *, actor: str) -> Account:
        """Change what an account may do; see `change`."""
        return await self.change(account, role=role, actor=actor)

    async def disable(self, account: Account, *, actor: str) -> Account:
        """Lock an account out: its sessions end, its tokens are revoked; see `change`."""
        return await self.change(account, active=False, actor=actor)

    async def enable(self, account: Account, *, actor: str) -> Account:
        """Let a disabled account in again; tokens have to be made anew."""
        return await self.change(account, active=True, actor=actor)

    async def _set_role(self, conn: Connection, account: Account, role: Role, *, actor: str) -> None:
        await conn.execute(store.SET_ROLE, {"id": account.id, "role": role.value})
        await store.audit(
            conn,
            now=self._clock(),
            actor=actor,
            action="account.role_changed",
            account=account,
            before={"role": account.role.value},
            after={"role": role.value},
        )

    async def _set_active(self, conn: Connection, account: Account, active: bool, *, actor: str) -> None:
        now = self._clock()
        await conn.execute(store.SET_DISABLED, {"id": account.id, "disabled_at": None if active else now})
        after: dict[str, object] = {"active": active}
        if not active:
            after["ended"] = await store.revoke_access(conn, account, now=now)
        await store.audit(
            conn,
            now=now,
            actor=actor,
            action="account.enabled" if active else "account.disabled",
            account=account,
            before={"active": account.active},
            after=after,
        )

    async def _create(self, conn: Connection, name: str, role: Role, *, actor: str) -> Account:
        now = self._clock()
        row = await store.one(conn, store.CREATE, name=name, role=role.value, now=now)
        if row is None:
            raise ConflictError(f"there is an account named {name!r} already", hint="reset its password instead")
        account = store.account_from(row)
        await store.audit(
            conn,
            now=now,
            actor=actor,
            action="account.created",
            account=account,
            after={"name": name, "role": role.value},
        )
        log.info("accounts.created", account_id=account.id, role=role.value)
        return account

    async def _issue(self, conn: Connection, account: Account, purpose: LinkPurpose, *, actor: str) -> IssuedLink:
        if not account.active:
            raise RefusedError(f"the account {account.name} is disabled", hint="enable it first")
        now = self._clock()
        link = IssuedLink(new_secret(), purpose, account, now + store.LINK_LIFETIME[purpose])
        await conn.execute(store.EXPIRE_LINKS, {"id": account.id, "purposes": [purpose.value], "now": now})
        await conn.execute(
            store.CREATE_LINK,
            {
                "hash": digest(link.secret),
                "id": account.id,
                "purpose": purpose.value,
                "now": now,
                "expires_at": link.expires_at,
            },
        )
        await store.audit(
            conn,
            now=now,
            actor=actor,
            action="account.link_issued",
            account=account,
            after={"purpose": purpose.value, "expires_at": link.expires_at.isoformat()},
        )
        return link

    async def _load_for_removal(self, conn: Connection, account_id: int, *, stays_admin: bool) -> Account:
        """Load an account that may cease to be an active admin, making sure that another one remains."""
        admins = {row["id"] for row in await store.many(conn, store.LOCK_ADMINS)}
        account = await _load(conn, account_id, lock=True)
        if not stays_admin and admins == {account_id}:
            raise ConflictError(f"{account.name} is the last admin", hint="make someone else admin first")
        return account


async def _load(conn: Connection, account_id: int, *, lock: bool = False) -> Account:
    row = await store.one(conn, store.BY_ID_LOCKED if lock else store.BY_ID, id=account_id)
    if row is None:
        raise NotFoundError(f"there is no account {account_id}")
    return store.account_from(row)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            "must begin with a letter or digit and have up to 64 of A-Z a-z 0-9 . _ @ + -", field="name"
        )


def _dead_link() -> UnauthenticatedError:
    return UnauthenticatedError("this link was used before or is too old", hint="ask an admin for a new one")
