"""The api role: the application of a process, served."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nadia.app.context import ProcessContext
from nadia.app.factory import secret_key
from nadia.errors import UnavailableError
from nadia.telegram.sandbox.customer import CustomerClient
from nadia.web.app import create_app
from nadia.web.desk import desk_router, pause_status
from nadia.web.quarantine import quarantine_router
from nadia.web.sandbox import sandbox_router
from nadia.web.sandbox_chat import SandboxChat
from nadia.web.server import WebServer


@asynccontextmanager
async def serving(context: ProcessContext) -> AsyncIterator[WebServer]:
    """Serve a process's web application during the block.

    Raises
    ------
    ConfigurationError
        If the address or port cannot be listened on.
    """

    async def ready() -> bool:
        try:
            async with context.database.connection() as conn:
                await conn.execute("SELECT 1")
        except UnavailableError:
            return False
        return True

    settings = context.config.web
    has_sandbox = context.config.telegram.gateway == "sandbox"
    chat = SandboxChat(
        client=lambda: CustomerClient(address=context.endpoints.sandbox), account=context.config.telegram.account
    )
    routers = (
        desk_router(
            desk=context.desk, saved_replies=context.files.saved_replies, pauses=context.pauses, events=context.events
        ),
        quarantine_router(quarantine=context.quarantine),
        *([sandbox_router(chat=chat)] if has_sandbox else []),
    )
    app = create_app(
        settings=settings,
        accounts=context.accounts,
        secret_key=secret_key(context.config),
        ready=ready,
        status=pause_status(context.pauses),
        routers=routers,
        has_sandbox=has_sandbox,
    )
    server = WebServer(app=app, settings=settings)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        await chat.close()
