"""docs/guides/mcp.md names every tool and resource with the role that it needs."""

import re
from pathlib import Path

import pytest

from nadia.mcp_server.resources import CONVERSATION_TEMPLATE
from nadia.mcp_server.serving import Assistance
from nadia.settings import Config

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "mcp.md").read_text()


@pytest.fixture
def assistance(tmp_path: Path) -> Assistance:
    return Assistance(Config.from_env({"NADIA_HOME": str(tmp_path)}, dotenv=None), allow_actions=True)


def test_every_tool_is_in_the_guide_with_its_role(assistance: Assistance) -> None:
    written = dict(re.findall(r"^\| `([a-z_]+)` \| (\w+)", GUIDE, re.MULTILINE))
    assert written == {tool.name: tool.role.value for tool in assistance.tools}


def test_a_workflows_question_is_in_the_guide(assistance: Assistance) -> None:
    for tool in assistance.tools:
        if tool.reads_only:
            assert f"| {tool.description} |" in GUIDE


def test_every_resource_is_in_the_guide_with_its_role(assistance: Assistance) -> None:
    written = dict(re.findall(r"^\| `(nadia://[^`]+)` \| (\w+)", GUIDE, re.MULTILINE))
    uris = [*(resource.uri for resource in assistance.resources.fixed), "nadia://conversations/1"]
    roles = {uri: assistance.role_for(uri) for uri in uris}
    roles[CONVERSATION_TEMPLATE] = roles.pop("nadia://conversations/1")
    assert written == roles
