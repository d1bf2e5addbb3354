"""For machines that look after us: liveness, readiness, metrics, and the API's description."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from nadia import metrics
from nadia.accounts.models import Role
from nadia.errors import RefusedError
from nadia.web.context import web_context
from nadia.web.identity import Viewer, identify
from nadia.web.local import is_local

router = APIRouter(include_in_schema=False)


@router.get("/")
async def start() -> Response:
    """Lead to the desk."""
    return RedirectResponse("/desk", status_code=303)


@router.api_route("/livez", methods=["GET", "HEAD"])
async def livez() -> Response:
    """Say that the process answers."""
    return PlainTextResponse("ok")


@router.api_route("/readyz", methods=["GET", "HEAD"])
async def readyz(request: Request) -> Response:
    """Say whether requests can be served, and nothing about why not."""
    context = web_context(request)
    if context.closing.is_set() or not await context.ready():
        return PlainTextResponse("not ready", status_code=503)
    return PlainTextResponse("ok")


@router.get("/metrics")
async def show_metrics(request: Request) -> Response:
    """Show the process's metrics to programs on this machine, or with a viewer's token."""
    if not is_local(request):
        principal = await identify(request)
        if not principal.role.covers(Role.VIEWER):
            raise RefusedError("this needs the role viewer")
    body, content_type = metrics.render()
    return Response(body, headers={"Content-Type": content_type})


@router.get("/api/openapi.json")
async def openapi(request: Request, _: Viewer) -> Response:
    """Describe the API."""
    return JSONResponse(request.app.openapi())
