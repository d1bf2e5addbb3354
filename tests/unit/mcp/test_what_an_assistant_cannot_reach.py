"""No tool can approve, edit, send, pause or erase: what the server imports is a short list.

What all of it loads when it is used is looked at in tests/integration/mcp/test_nothing_that_decides_is_loaded.py.
"""

import ast
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
    "nadia.health.models",
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
