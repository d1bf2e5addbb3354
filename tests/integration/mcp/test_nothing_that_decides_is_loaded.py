"""The code that approves, edits, sends, pauses or erases is not loaded where tools run, also after all were used."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from nadia import notices
from nadia.conversations.models import BatchState
from nadia.notices import Notice
from nadia.workflows.registry import WORKFLOWS
from support.core import Core

DECIDES = (
    "nadia.review.desk",
    "nadia.review.decisions",
    "nadia.review.parking",
    "nadia.delivery.outbox",
    "nadia.delivery.ledger",
    "nadia.delivery.sender",
    "nadia.conversations.batches",
    "nadia.conversations.pauses",
    "nadia.quarantine.service",
    "nadia.drafting.worker",
    "nadia.accounts.service",
    "nadia.telegram.telethon",
    "nadia.telegram.sessions",
    "nadia.app.factory",
    "nadia.app.telegram",
)
"""What approves, edits, sends, pauses, silences customers, drafts, gives rights, or speaks with Telegram."""

NOTICE = Notice("batch.parked", "a batch is parked")

USES_ALL = """
import asyncio, json, os, sys

from mcp import Client

from nadia.accounts.models import Role
from nadia.mcp_server.caller import Caller
from nadia.mcp_server.serving import Assistance
from nadia.settings import Config


async def use_all(calls, uris):
    assistance = Assistance(Config.from_env(os.environ, dotenv=None), allow_actions=True)
    caller = Caller(actor="system", role=Role.ADMIN)
    answered = {}
    async with Client(assistance.server(lambda _: caller), cache=None) as client:
        offered = [tool.name for tool in (await client.list_tools()).tools]
        for name, arguments in calls:
            answered[name] = not (await client.call_tool(name, arguments)).is_error
        for uri in uris:
            answered[uri] = bool((await client.read_resource(uri)).contents)
    await assistance.database.close()
    return {"offered": offered, "answered": answered, "loaded": sorted(sys.modules)}


found = asyncio.run(use_all(*json.loads(sys.argv[1])))
print("FOUND", json.dumps(found))
"""


async def test_nothing_that_decides_is_loaded_by_any_tool_or_resource(
    environ: dict[str, str], core: Core, tmp_path: Path
) -> None:
    batch = await core.sealed(1001, "Where is my parcel?")
    await core.take_to(batch.id, BatchState.DRAFTED, BatchState.IN_REVIEW)
    async with core.database.transaction() as conn:
        await notices.record(conn, NOTICE)

    particular: dict[str, dict[str, Any]] = {
        "debug-user": {"who": f"conversation:{batch.conversation_id}"},
        "slow-api": {"sample_seconds": 0},
        "perf-baseline": {"action": "list"},
    }
    calls = [(name.replace("-", "_"), particular.get(name, {})) for name in WORKFLOWS] + [
        ("acknowledge_alert", {"fingerprint": NOTICE.fingerprint}),
        ("silence_alert", {"topic": NOTICE.topic, "hours": 1, "reason": "known"}),
        ("unsilence_alert", {"silence": 1}),
        ("run_check", {"check": "db-stats"}),
        ("start_recovery", {"account": "nosuch"}),  # refused by the code that asks the account's owner
    ]
    fixed = ["nadia://health", "nadia://queues", "nadia://alerts"]
    child = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-c",
            USES_ALL,
            json.dumps([calls, [*fixed, f"nadia://conversations/{batch.conversation_id}"]]),
        ),
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environ},
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(child.communicate(), 60)
    assert child.returncode == 0, err.decode()
    found = json.loads(out.decode().rpartition("FOUND ")[2])

    assert set(found["offered"]) == {name for name, _ in calls}, "each tool there is was used"
    assert [name for name, well in found["answered"].items() if not well] == ["start_recovery"]
    assert {"nadia.workflows.debug_user", "nadia.recovery.asking", "nadia.app.security_check"} <= set(found["loaded"])
    assert [name for name in found["loaded"] if name.startswith(DECIDES)] == []
