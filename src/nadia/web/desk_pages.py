"""The review desk's pages, and the parts of them that are fetched anew when something happens."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nadia.accounts.models import Principal, Role
from nadia.accounts.service import AccountService
from nadia.clock import Clock
from nadia.conversations.pauses import Activity, Pause, Pauses
from nadia.errors import NotFoundError
from nadia.review.desk import ReviewDesk
from nadia.web.context import Banner, StatusProvider, web_context
from nadia.web.desk_api import desk_list
from nadia.web.desk_item_view import ItemView, item_view
from nadia.web.desk_models import Tab
from nadia.web.desk_queue_view import ROWS, QueueView, queue_view
from nadia.web.fields import RowId
from nadia.web.identity import Viewer
from nadia.web.pages import page

_RUNNING = {
    Activity.SENDING: "Approved replies are sent.",
    Activity.DRAFTING: "Drafts are made as customers write.",
}


@dataclass(frozen=True, slots=True)
class Switch:
    """A line of the pause dialog."""

    activity: Activity
    account: str | None
    paused: Pause | None
    by: str = ""

    @property
    def label(self) -> str:
        """What it stops."""
        return self.activity.value.capitalize()

    @property
    def running(self) -> str:
        """What goes on while it is not paused."""
        return _RUNNING[self.activity]


def desk_pages(*, desk: ReviewDesk, pauses: Pauses, clock: Clock) -> APIRouter:
    """Build the pages' routes; see `nadia.web.desk.desk_router`."""
    router = APIRouter(include_in_schema=False)

    async def queue_of(who: Principal, tab: Tab) -> QueueView:
        items, counts = await desk_list(desk, tab, limit=ROWS)
        return queue_view(tab, items, counts, me=who.account.id, now=clock())

    async def item_of(who: Principal, batch_id: int) -> ItemView:
        return item_view(await desk.item(batch_id), me=who.account.id, now=clock())

    async def whole(request: Request, who: Principal, tab: Tab, item: ItemView | None) -> Response:
        return await page(
            request,
            "desk.html",
            status=200,
            queue=await queue_of(who, tab),
            item=item,
            me=who.account.id,
            switches=await _switches(web_context(request).accounts, pauses),
            **_rights(who),
        )

    def part(
        request: Request, template: str, who: Principal, *, banners: tuple[Banner, ...] = (), **values: object
    ) -> Response:
        render = web_context(request).pages.bare
        return render(request, template, status=200, csrf_token="", banners=banners, **(_rights(who) | values))

    @router.get("/desk")
    async def desk_page(request: Request, who: Viewer, tab: Tab = "waiting") -> Response:
        """Show the queue."""
        return await whole(request, who, tab, None)

    @router.get("/desk/items/{batch_id}")
    async def item_page(request: Request, who: Viewer, batch_id: RowId, tab: Tab = "waiting") -> Response:
        """Show the queue with an item open."""
        return await whole(request, who, tab, await item_of(who, batch_id))

    @router.get("/desk/parts/queue")
    async def queue_part(request: Request, who: Viewer, tab: Tab = "waiting") -> Response:
        """Show the queue alone."""
        return part(request, "desk_queue.html", who, queue=await queue_of(who, tab))

    @router.get("/desk/parts/items/{batch_id}")
    async def item_part(request: Request, who: Viewer, batch_id: RowId) -> Response:
        """Show an item alone."""
        return part(request, "desk_item.html", who, item=await item_of(who, batch_id))

    @router.get("/desk/parts/status")
    async def status_part(request: Request, who: Viewer) -> Response:
        """Show the banners and what is paused."""
        provider = web_context(request).status
        banners = tuple(await provider()) if provider is not None else ()
        return part(
            request,
            "desk_status.html",
            who,
            banners=banners,
            switches=await _switches(web_context(request).accounts, pauses),
            **_rights(who),
        )

    return router


def pause_status(pauses: Pauses) -> StatusProvider:
    """Return what says above every page what stands still; for `nadia.web.app.create_app`."""

    async def status() -> Sequence[Banner]:
        return tuple(_banners(await pauses.list()))

    return status


def _banners(paused: Sequence[Pause]) -> Iterator[Banner]:
    means = {
        Activity.SENDING: "approved replies wait until it is resumed",
        Activity.DRAFTING: "new messages get no draft until it is resumed",
    }
    for pause in paused:
        where = f" for {pause.telegram_account_id}" if pause.telegram_account_id else ""
        yield Banner(
            key=f"paused-{pause.activity}-{pause.telegram_account_id or 'all'}",
            text=f"{pause.activity.capitalize()} is paused{where}: {means[pause.activity]}. Reason: {pause.reason}",
        )


async def _switches(accounts: AccountService, pauses: Pauses) -> tuple[Switch, ...]:
    paused = await pauses.list()
    by = {pause.paused_by: await _name(accounts, pause.paused_by) for pause in paused}
    general = {pause.activity: pause for pause in paused if pause.telegram_account_id is None}
    switches = [
        Switch(activity, None, pause, by[pause.paused_by] if pause else "")
        for activity in Activity
        for pause in (general.get(activity),)
    ]
    switches += [
        Switch(pause.activity, pause.telegram_account_id, pause, by[pause.paused_by])
        for pause in paused
        if pause.telegram_account_id is not None
    ]
    return tuple(switches)


async def _name(accounts: AccountService, actor: str) -> str:
    """Return the name of the account that the audit log calls ``account:<id>``; other actors name themselves."""
    kind, _, number = actor.partition(":")
    if kind != "account" or not number.isdecimal():
        return actor
    with suppress(NotFoundError):
        return (await accounts.get(int(number))).name
    return actor


def _rights(who: Principal) -> dict[str, object]:
    return {"may_decide": who.role.covers(Role.REVIEWER)}
