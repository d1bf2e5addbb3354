"""The dead-man's switch: whether anybody looks after the installation, for a watcher outside of it."""

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from nadia.clock import Clock, utc_now
from nadia.errors import UnavailableError
from nadia.workflows.schedule_state import ScheduleState


def heartbeat_router(*, state: ScheduleState, clock: Clock = utc_now) -> APIRouter:
    """Return the route ``/heartbeat``.

    Parameters
    ----------
    state : ScheduleState
        What the daemon last said of itself.
    clock : callable
        Returns the present.
    """
    router = APIRouter(include_in_schema=False)

    @router.api_route("/heartbeat", methods=["GET", "HEAD"])
    async def heartbeat() -> Response:
        """Answer 200 while a daemon is active and its health checks give answers; nothing about why not."""
        try:
            said = await state.read()
        except UnavailableError:
            said = None
        if said is None or not said.vouches(clock()):
            return PlainTextResponse("silent", status_code=503)
        return PlainTextResponse("ok")

    return router
