"""Requests that come from this machine itself."""

import ipaddress
from typing import Final

from starlette.requests import Request

from nadia.errors import RefusedError
from nadia.web.context import web_context

_FORWARDED: Final = ("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")
_FORWARDED_PREFIX: Final = "x-forwarded-"


def is_local(request: Request) -> bool:
    """Say whether a program on this machine asks, and not a proxy on it for somebody else.

    A plain proxy on this machine adds no header that would tell. So where settings say that one stands in front
    (``public_url``, ``trusted_proxies``), nobody is local.
    """
    settings = web_context(request).settings
    if settings.public_url or settings.trusted_proxies or request.client is None:
        return False
    if any(name in _FORWARDED or name.startswith(_FORWARDED_PREFIX) for name in request.headers):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def require_local(request: Request) -> None:
    """Refuse a request that does not come from this machine.

    Raises
    ------
    RefusedError
        If it does not.
    """
    if not is_local(request):
        raise RefusedError(
            "the sandbox is open to this machine only",
            hint="open it on the machine that runs NADIA (127.0.0.1), without NADIA_WEB_PUBLIC_URL or a proxy",
        )
