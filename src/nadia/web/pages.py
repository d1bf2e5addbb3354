"""Pages from templates: what every page is given, and rendering it.

Handlers call ``await page(request, "desk.html", items=items)``. Every template knows ``principal``, ``csrf_token``,
``banners``, ``static(path)`` and the path of the request as ``here``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from nadia.accounts.models import Principal, Role
from nadia.errors import UnavailableError
from nadia.web.context import Banner, web_context
from nadia.web.identity import session_cookie

if TYPE_CHECKING:
    from nadia.web.assets import StaticAssets
    from nadia.web.csrf import CsrfKey

TEMPLATES: Final = Path(__file__).with_name("templates")


class PageRenderer:
    """Renders templates with what every page needs.

    Parameters
    ----------
    assets : StaticAssets
        Gives the addresses of style sheets and scripts.
    csrf : CsrfKey
        Makes the token that a page sends along with every change.
    has_sandbox : bool
        Whether there is a page on which one writes as a customer.
    """

    def __init__(self, *, assets: "StaticAssets", csrf: "CsrfKey", has_sandbox: bool) -> None:
        self._csrf = csrf
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(static=assets.url, Role=Role, has_sandbox=has_sandbox)

    def bare(self, request: Request, template: str, **values: object) -> HTMLResponse:
        """Render a part of a page, which a script puts into one that is open."""
        return self.render(request, template, values)

    def render(
        self,
        request: Request,
        template: str,
        values: Mapping[str, object],
        *,
        status: int = 200,
        banners: Sequence[Banner] = (),
    ) -> HTMLResponse:
        """Render a template without asking the database for anything.

        Parameters
        ----------
        request : Request
            The request to answer.
        template : str
            File name under ``templates/``.
        values : mapping
            Names that the template uses besides the common ones.
        status : int
            HTTP status.
        banners : sequence of Banner
            Lines above the page.
        """
        principal: Principal | None = getattr(request.state, "principal", None)
        cookie = session_cookie(request)
        text = self._environment.get_template(template).render(
            {
                "principal": principal,
                "csrf_token": self._csrf.token_for(cookie) if cookie else "",
                "banners": banners,
                "here": request.url.path,
                "status": status,
                **values,
            }
        )
        return HTMLResponse(text, status_code=status)


async def page(request: Request, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """Render a page for whoever asks.

    Parameters
    ----------
    request : Request
        The request to answer.
    template : str
        File name under ``templates/``.
    status : int
        HTTP status.
    **values
        Names that the template uses besides the common ones.
    """
    context = web_context(request)
    banners: Sequence[Banner] = ()
    # What goes on inside is nothing for strangers at the log-in page.
    if context.status is not None and getattr(request.state, "principal", None) is not None:
        try:
            banners = await context.status()
        except UnavailableError as exc:
            banners = (Banner("database", exc.message, tone="bad"),)
    return context.pages.render(request, template, values, status=status, banners=banners)
