"""The api role: the application of a process, served."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nadia.alerting.service import Alerts
from nadia.app.context import ProcessContext
from nadia.app.factory import secret_key
from nadia.recovery.status import RecoveryStatus
from nadia.telegram.sandbox.customer import CustomerClient
from nadia.web.app import create_app
from nadia.web.console import console_router
from nadia.web.desk import desk_router, pause_status
from nadia.web.heartbeat import heartbeat_router
from nadia.web.help_pages import help_router
from nadia.web.quarantine import quarantine_router
from nadia.web.readiness import Readiness
from nadia.web.sandbox import sandbox_router
from nadia.web.sandbox_chat import SandboxChat
from nadia.web.server import WebServer
from nadia.workflows.run_history import RunHistory
from nadia.workflows.schedule_state import ScheduleState, state_file


@asynccontextmanager
async def serving(context: ProcessContext) -> AsyncIterator[WebServer]:
    """Serve a process's web application during the block.

    Raises
    ------
    ConfigurationError
        If the address or port cannot be listened on.
    """
    settings = context.config.web
    has_sandbox = context.config.telegram.gateway == "sandbox"
    chat = SandboxChat(
        client=lambda: CustomerClient(address=context.endpoints.sandbox), account=context.config.telegram.account
    )
    schedule = ScheduleState(redis=context.redis, file=state_file(context.config.home))
    routers = (
        desk_router(
            desk=context.desk, saved_replies=context.files.saved_replies, pauses=context.pauses, events=context.events
        ),
        quarantine_router(quarantine=context.quarantine),
        console_router(
            health=context.health,
            figures=context.figures,
            runs=RunHistory(redis=context.redis),
            daemon=schedule.read,
            alerts=Alerts(database=context.database),
            recovery=RecoveryStatus(database=context.database),
        ),
        help_router(),
        heartbeat_router(state=schedule),
        *([sandbox_router(chat=chat)] if has_sandbox else []),
    )
    app = create_app(
        settings=settings,
        accounts=context.accounts,
        secret_key=secret_key(context.config),
        ready=Readiness(connect=context.database.connection),
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
