"""Quarantine: its pages and its JSON API."""

from fastapi import APIRouter

from nadia.clock import Clock, utc_now
from nadia.quarantine.service import Quarantine
from nadia.web.quarantine_api import quarantine_api
from nadia.web.quarantine_pages import quarantine_pages


def quarantine_router(*, quarantine: Quarantine, clock: Clock = utc_now) -> APIRouter:
    """Build quarantine's routes.

    Parameters
    ----------
    quarantine : Quarantine
        Decides and remembers.
    clock : Clock
        Says what time it is, for what is shown only.
    """
    router = APIRouter()
    router.include_router(quarantine_api(quarantine=quarantine))
    router.include_router(quarantine_pages(quarantine=quarantine, clock=clock))
    return router
