"""The review desk: its pages and its JSON API."""

from fastapi import APIRouter

from nadia.clock import Clock, utc_now
from nadia.conversations.pauses import Pauses
from nadia.llm.saved_replies import SavedReplies
from nadia.redis.events import LiveEvents
from nadia.review.desk import ReviewDesk
from nadia.web.desk_api import desk_api
from nadia.web.desk_pages import desk_pages, pause_status
from nadia.web.live import live_router

__all__ = ["desk_router", "pause_status"]


def desk_router(
    *,
    desk: ReviewDesk,
    saved_replies: SavedReplies,
    pauses: Pauses,
    events: LiveEvents,
    clock: Clock = utc_now,
) -> APIRouter:
    """Build the desk's routes, the live stream included.

    Parameters
    ----------
    desk : ReviewDesk
        Decides and remembers.
    saved_replies : SavedReplies
        What reviewers can insert.
    pauses : Pauses
        Stops and starts sending and drafting; `pause_status` shows them above every page.
    events : LiveEvents
        Where live updates come from.
    clock : Clock
        Says what time it is, for what is shown only: claims and undo compare the database's clock.
    """
    router = APIRouter()
    router.include_router(desk_api(desk=desk, saved_replies=saved_replies, pauses=pauses, clock=clock))
    router.include_router(desk_pages(desk=desk, pauses=pauses, clock=clock))
    router.include_router(live_router(events=events))
    return router
