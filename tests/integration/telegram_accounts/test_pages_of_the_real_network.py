"""Where NADIA talks to the real Telegram, nobody is offered a phone of the sandbox's."""

import httpx
import pytest

from nadia.accounts.models import Role
from nadia.app.context import ProcessContext
from nadia.app.factory import open_context
from nadia.settings import Config
from nadia.web.role import serving


async def pages(context: ProcessContext) -> tuple[int, str]:
    """The status of the sandbox's page, and the desk's page."""
    admin = await context.accounts.create_first_admin("admin", actor="test")
    token, _ = await context.accounts.tokens.create(admin, name="test", role=Role.ADMIN, actor="test")
    async with serving(context) as web, httpx.AsyncClient(base_url=web.url) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        return (await client.get("/sandbox")).status_code, (await client.get("/desk")).text


@pytest.mark.parametrize(("gateway", "is_there"), [("sandbox", True), ("telethon", False)])
async def test_the_sandboxs_page_is_there_with_the_sandbox_only(
    environment: dict[str, str], gateway: str, is_there: bool
) -> None:
    settings = {**environment, "NADIA_TELEGRAM_GATEWAY": gateway, "NADIA_WEB_PORT": "0"}
    async with open_context(Config.from_env(settings, dotenv=None), role="test") as context:
        status, desk = await pages(context)

    assert (status != 404) is is_there
    assert ('href="/sandbox"' in desk) is is_there
    assert 'href="/desk"' in desk
