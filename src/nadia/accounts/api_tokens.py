"""Bearer tokens for programs."""

from datetime import timedelta
from typing import Final

from nadia.accounts import store
from nadia.accounts.errors import UnauthenticatedError
from nadia.accounts.models import Account, ApiToken, Principal, Role
from nadia.accounts.secrets import TOKEN_PREFIX, digest, new_secret
from nadia.clock import Clock
from nadia.errors import ConflictError, InvalidInputError, NotFoundError, RefusedError
from nadia.postgres.database import Database

_USED_EVERY: Final = timedelta(minutes=1)
_LONGEST_NAME: Final = 60
_MOST_PER_ACCOUNT: Final = 50


class TokenService:
    """Makes, finds and revokes tokens.

    Parameters
    ----------
    database : Database
        Where tokens' digests are.
    clock : Clock
        Says what time it is.
    """

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, account: Account, *, name: str, role: Role, actor: str) -> tuple[str, ApiToken]:
        """Make a token and return its secret, which is shown this once.

        Parameters
        ----------
        account : Account
            Whose.
        name : str
            What it is for, in the owner's words.
        role : Role
            What it may do; at most what its owner may.
        actor : str
            Who makes it, for the audit log.

        Raises
        ------
        InvalidInputError
            If the name is empty or too long.
        RefusedError
            If the role is more than the owner's.
        ConflictError
            If the account has a token of that name, or very many.
        """
        name = name.strip()
        if not name or len(name) > _LONGEST_NAME:
            raise InvalidInputError(f"must have 1 to {_LONGEST_NAME} characters", field="name")
        secret, now = new_secret(TOKEN_PREFIX), self._clock()
        async with self._database.transaction() as conn:
            # The account's row is the lock under which its tokens are counted.
            owner = await store.one(conn, store.BY_ID_LOCKED, id=account.id)
            if owner is None or not store.account_from(owner).role.covers(role):
                raise RefusedError(f"a token cannot hold the role {role}: its owner does not")
            present = await store.many(conn, store.TOKENS, id=account.id)
            if any(row["name"] == name for row in present):
                raise ConflictError(
                    f"there is a token named {name!r} already", hint="revoke it, or choose another name"
                )
            if len(present) >= _MOST_PER_ACCOUNT:
                raise ConflictError(f"there are {len(present)} tokens already", hint="revoke those not in use")
            row = await store.one(
                conn,
                store.CREATE_TOKEN,
                id=account.id,
                name=name,
                hash=digest(secret),
                role=role.value,
                now=now,
            )
            assert row is not None
            await store.audit(
                conn,
                now=now,
                actor=actor,
                action="account.token_created",
                account=account,
                after={"name": name, "role": role.value},
            )
        return secret, store.token_from(row)

    async def of(self, account: Account) -> list[ApiToken]:
        """Return the tokens of an account that are in force."""
        async with self._database.connection() as conn:
            return [store.token_from(row) for row in await store.many(conn, store.TOKENS, id=account.id)]

    async def revoke(self, account: Account, token_id: int, *, actor: str) -> None:
        """Make a token invalid.

        Raises
        ------
        NotFoundError
            If the account has no such token.
        """
        now = self._clock()
        async with self._database.transaction() as conn:
            row = await store.one(conn, store.REVOKE_TOKEN, id=account.id, token_id=token_id, now=now)
            if row is None:
                raise NotFoundError(f"there is no token {token_id}")
            await store.audit(
                conn,
                now=now,
                actor=actor,
                action="account.token_revoked",
                account=account,
                before={"name": row["name"]},
            )

    async def resolve(self, secret: str) -> Principal:
        """Say whom a token stands for, and note that it was used.

        Raises
        ------
        UnauthenticatedError
            If there is no such token in force.
        """
        now = self._clock()
        async with self._database.connection() as conn:
            row = await store.one(conn, store.RESOLVE_TOKEN, hash=digest(secret))
            if row is None:
                raise UnauthenticatedError("the token is not valid", hint="make a new one under Me")
            if row["last_used_at"] is None or now - row["last_used_at"] >= _USED_EVERY:
                await conn.execute(store.TOUCH_TOKEN, {"token_id": row["token_id"], "now": now})
        return store.token_principal(row)
