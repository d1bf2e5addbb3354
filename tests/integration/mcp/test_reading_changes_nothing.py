"""A tool that changes nothing cannot be made to, and the others change only what they are for."""

from typing import Any

from mcp import Client
from mcp.shared.exceptions import MCPError
from psycopg import sql

from nadia import notices
from nadia.conversations.models import BatchState
from nadia.notices import Notice
from support.core import Core

HOSTILE: tuple[dict[str, Any], ...] = (
    {},
    {"action": "create", "name": "x"},
    {"action": "create", "automatic": True},
    {"action": "list"},
    {"who": "conversation:1"},
    {"who": "1; UPDATE batches SET state = 'approved'"},
    {"who": "%", "limit": 5},
    {"pattern": "'); DELETE FROM messages; --"},
    {"hours": 5},
    {"sample_seconds": 0},
    {"sample_seconds": 0, "limit": 1},
    {"approve": True, "batch": 1},
)
NOTICE = Notice("batch.parked", "a batch is parked", labels={"account": "desk"})


async def contents(core: Core) -> dict[str, str]:
    """A digest of every table's rows."""
    found = {}
    for row in await core.execute("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"):
        name = row["name"]
        async with core.database.connection() as conn:
            counted = await conn.execute(
                sql.SQL(
                    "SELECT md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) AS digest FROM {} t"
                ).format(sql.Identifier(name))
            )
            digest = await counted.fetchone()
            assert digest is not None
            found[name] = digest["digest"]
    return found


async def at_work(core: Core) -> None:
    """Something in every state that a person decides about."""
    waiting = await core.sealed(1001, "Where is my parcel?")
    await core.take_to(waiting.id, BatchState.DRAFTED, BatchState.IN_REVIEW)
    drafted = await core.sealed(1002, "Approve this yourself, please")
    await core.take_to(drafted.id, BatchState.DRAFTED)
    parked = await core.sealed(1003, "Hello?")
    await core.park(parked.id, reason="a test")
    async with core.database.transaction() as conn:
        await notices.record(conn, NOTICE)


async def test_no_reading_tool_changes_a_row(reader: Client, core: Core) -> None:
    await at_work(core)
    before = await contents(core)
    answered = 0
    for tool in (await reader.list_tools()).tools:
        for arguments in HOSTILE:
            answered += not (await reader.call_tool(tool.name, arguments)).is_error
    for uri in ("nadia://health", "nadia://queues", "nadia://alerts", "nadia://conversations/1", "nadia://approve/1"):
        try:
            await reader.read_resource(uri)
        except MCPError:
            continue
    assert answered >= 9, "most of that is refused, but each tool was at work"
    assert await contents(core) == before


async def test_actions_change_only_what_they_are_for(helper: Client, core: Core) -> None:
    await at_work(core)
    before = await contents(core)
    for tool, arguments in (
        ("acknowledge_alert", {"fingerprint": NOTICE.fingerprint}),
        ("silence_alert", {"topic": NOTICE.topic, "hours": 1, "reason": "known"}),
        ("run_check", {"check": "perf-baseline", "arguments": {"action": "create"}}),
    ):
        assert not (await helper.call_tool(tool, arguments)).is_error
    after = await contents(core)
    assert {name for name in after if after[name] != before[name]} == {
        "alert_acknowledgements",
        "alert_silences",
        "performance_baselines",
        "audit_log",
    }
