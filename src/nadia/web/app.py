"""The web application: routes, and the rings that every request passes.

From outside in: headers, incidents and counting, host names, size and sanity of what is carried, cross-site requests.
Whoever adds pages passes a router; handlers take ``Viewer``, ``Reviewer`` or ``Admin`` from ``nadia.web.identity``.
"""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from pydantic import SecretStr
from starlette.middleware import Middleware

from nadia import __version__
from nadia.accounts.service import AccountService
from nadia.settings.web import WebSettings
from nadia.web import account_routes, me_routes, operations_routes, session_routes
from nadia.web.assets import StaticAssets
from nadia.web.bodies import BodyGate
from nadia.web.context import ReadinessCheck, StatusProvider, WebContext
from nadia.web.csrf import CsrfGate, CsrfKey
from nadia.web.errors import ErrorBody, install_error_handlers
from nadia.web.headers import SecurityHeaders
from nadia.web.hosts import HostGate
from nadia.web.identity import cookie_name
from nadia.web.incidents import IncidentRing
from nadia.web.pages import PageRenderer


def create_app(
    *,
    settings: WebSettings,
    accounts: AccountService,
    secret_key: SecretStr,
    ready: ReadinessCheck,
    status: StatusProvider | None = None,
    routers: Sequence[APIRouter] = (),
    has_sandbox: bool = True,
) -> FastAPI:
    """Build the application.

    Parameters
    ----------
    settings : WebSettings
        Where it listens and what it is called.
    accounts : AccountService
        Who may do what.
    secret_key : SecretStr
        The installation's secret key; CSRF tokens are made with it.
    ready : callable
        Says whether requests can be served.
    status : callable, optional
        Returns the banners that stand above every page.
    routers : sequence of APIRouter
        Pages and API of other domains.
    has_sandbox : bool
        Whether the sandbox's page is among them.

    Raises
    ------
    ConfigurationError
        If the settings would expose an installation without a secret key.
    """
    settings.require_startable()
    assets, csrf = StaticAssets(), CsrfKey(secret_key)
    app = FastAPI(
        title="NADIA",
        version=__version__,
        description="Everything that the pages do. Log in with a cookie, or send a token as `Authorization: Bearer`.",
        # The documentation pages that come with the framework load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        responses={code: {"model": ErrorBody} for code in (400, 401, 403, 404, 409, 413, 421, 422, 429, 503)},
        middleware=[
            Middleware(SecurityHeaders, https=(settings.public_url or "").startswith("https://")),
            Middleware(IncidentRing),
            Middleware(HostGate, names=settings.host_names),
            Middleware(BodyGate),
            Middleware(CsrfGate, key=csrf, cookie=cookie_name(settings)),
        ],
    )
    app.state.nadia = WebContext(
        settings=settings,
        accounts=accounts,
        csrf=csrf,
        pages=PageRenderer(assets=assets, csrf=csrf, has_sandbox=has_sandbox),
        ready=ready,
        status=status,
    )
    install_error_handlers(app)
    app.add_route("/static/{digest}/{name:path}", assets.serve, methods=["GET"], include_in_schema=False)
    own = (operations_routes.router, session_routes.router, me_routes.router, account_routes.router)
    for router in (*own, *routers):
        app.include_router(router)
    return app
