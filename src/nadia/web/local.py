"""Requests that come from this machine itself."""

import ipaddress
from typing import Final

from starlette.requests import Request

from nadia.errors import RefusedError

_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")


def is_local(request: Request) -> bool:
    """Say whether a program on this machine asks, and not a proxy on it for somebody else."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
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
            "the sandbox is open to this machine only", hint="open it on the machine that runs NADIA: 127.0.0.1"
        )
