"""No tool can approve, edit, send, pause or erase: the code that does is not even loaded where tools run."""

import ast
import subprocess
import sys
from pathlib import Path

import nadia.mcp_server

FOLDER = Path(nadia.mcp_server.__file__).parent

ALLOWED = {
    "nadia",
    "nadia.accounts.api_tokens",
    "nadia.accounts.errors",
    "nadia.accounts.models",
    "nadia.accounts.throttle",
    "nadia.alerting.models",
    "nadia.alerting.service",
    "nadia.app.endpoints",
    "nadia.app.health",
    "nadia.app.workflows",
    "nadia.clock",
    "nadia.conversations",  # the audit log
    "nadia.conversations.messages",
    "nadia.errors",
    "nadia.health.checker",
    "nadia.postgres",  # the schema's version
    "nadia.postgres.database",
    "nadia.recovery.asking",
    "nadia.recovery.models",
    "nadia.recovery.requests",
    "nadia.recovery.status",
    "nadia.redaction",
    "nadia.settings",
    "nadia.settings.web",
    "nadia.workflows.registry",
    "nadia.workflows.report",
    "nadia.workflows.workflow",
}
"""Whoever adds to this says why an assistant may reach it."""

DECIDES = (
    "nadia.review.desk",
    "nadia.review.decisions",
    "nadia.review.parking",
    "nadia.delivery.outbox",
    "nadia.delivery.sender",
    "nadia.conversations.batches",
    "nadia.conversations.pauses",
    "nadia.quarantine.service",
    "nadia.drafting.worker",
    "nadia.accounts.service",
    "nadia.telegram.telethon",
    "nadia.app.factory",
)
"""What approves, edits, sends, pauses, silences customers, drafts, or gives rights."""

LOADS_ALL = """
import sys
import nadia.app.health, nadia.app.workflows
from nadia.mcp_server.serving import Assistance
from nadia.settings import Config
Assistance(Config.from_env({"NADIA_HOME": sys.argv[1]}, dotenv=None), allow_actions=True)
print(*sorted(sys.modules), sep="\\n")
"""


def test_the_server_imports_only_what_an_assistant_may_reach() -> None:
    imported: set[str] = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None
                imported.add(node.module)
    own = {name for name in imported if name.partition(".")[0] == "nadia" and "mcp_server" not in name}
    assert own <= ALLOWED, f"think before allowing {own - ALLOWED}"


def test_nothing_that_decides_is_loaded_with_every_tool(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", LOADS_ALL, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = child.stdout.split()
    assert "nadia.workflows.debug_user" in loaded
    assert [name for name in loaded if name.startswith(DECIDES)] == []
