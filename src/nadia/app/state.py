"""What each part of a process that has just started is doing: asked of the part, not read from the settings."""

import asyncio
import time
from typing import Final

from nadia.app.context import ProcessContext
from nadia.app.process_name import installation_name
from nadia.errors import UnavailableError
from nadia.telegram import sessions

_PATIENCE_SECONDS: Final = 2.0
"""How long an account may take to be owned before it is called connecting; a lease that has to run out takes longer."""

_ASK_AGAIN_SECONDS: Final = 0.05

_OWNER = """
SELECT holder, expires_at > clock_timestamp() AS alive FROM telegram_accounts WHERE id = %(account)s
"""

_LOG_IN: Final = "nadia telegram login --account NAME"


async def postgres_state(context: ProcessContext) -> str:
    """Return PostgreSQL's version, or why there is none."""
    try:
        async with context.database.connection() as conn:
            row = await (await conn.execute("SHOW server_version")).fetchone()
    except UnavailableError as exc:
        return f"does not answer: {exc.message}"
    return f"version {row['server_version'].split()[0]}" if row else "does not answer"


async def redis_state(context: ProcessContext) -> str:
    """Return Redis's or Valkey's version, or why there is none; NADIA works on without, more slowly."""
    try:
        async with context.redis.use() as client:
            found: dict[str, object] = await client.info("server")
    except UnavailableError as exc:
        return f"does not answer: {exc.message}"
    if "valkey_version" in found:
        return f"Valkey {found['valkey_version']}"
    return f"version {found['redis_version']}" if "redis_version" in found else "answers"


async def telegram_state(context: ProcessContext) -> str:
    """Return which network it is, and who acts for which account."""
    if context.config.telegram.gateway == "sandbox":
        account = context.config.telegram.account
        return f"sandbox, account {account}: {await _owner(context, account)}"
    try:
        async with context.database.connection() as conn:
            found = [session.telegram_account_id for session in await sessions.usable(conn)]
    except UnavailableError:
        return "connecting"
    return f"logged in: {', '.join(found)}" if found else f"nobody is logged in yet: {_LOG_IN}"


async def _owner(context: ProcessContext, account: str) -> str:
    """Return who acts for an account, after a moment's patience with this process's becoming it."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    ours = installation_name(context.config)
    while True:
        try:
            async with context.database.connection() as conn:
                row = await (await conn.execute(_OWNER, {"account": account})).fetchone()
        except UnavailableError:
            return "connecting"
        alive = row is not None and row["alive"]
        if row is not None and alive and row["holder"].split("/")[0] == ours:
            return "owned by this process"
        if time.monotonic() > deadline:
            return "another process acts for it; waiting" if alive else "connecting"
        await asyncio.sleep(_ASK_AGAIN_SECONDS)
