"""Requests of the API: unwrapping, who may call what, and the way to the method (core.telegram.org/api/invoking)."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from telethon.tl import functions
from telethon.tl.alltlobjects import LAYER

from support.mtproto.faults import Faults
from support.mtproto.world import Account, Authorization, Link, World


class RpcFailure(Exception):  # noqa: N818 - an answer like others
    """An error of the API: code and name (core.telegram.org/api/errors)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class HangUp(Exception):  # noqa: N818 - not an error: what was asked for
    """Break the connection instead of answering."""


class NoAnswer(Exception):  # noqa: N818 - not an error: what was asked for
    """Let the client wait for ever."""


@dataclass(frozen=True)
class Seen:
    """A request that reached the server."""

    name: str
    """Its class, such as ``SendMessageRequest``."""
    request: Any = field(repr=False)
    user_id: int | None
    """Who was logged in."""
    at: float
    """`time.monotonic`, seconds."""


@dataclass(frozen=True)
class Call:
    """One call of a method and where it comes from."""

    world: World
    authorization: Authorization
    link: Link

    @property
    def account(self) -> Account:
        """Who is logged in."""
        if self.authorization.account is None:
            raise RpcFailure(401, "AUTH_KEY_UNREGISTERED")
        return self.authorization.account


Handler: TypeAlias = Callable[[Call, Any], Any]


@dataclass(frozen=True)
class Api:
    """The methods there are."""

    open: Mapping[type, Handler]
    """For everybody who has an auth key."""
    accounts: Mapping[type, Handler]
    """For those who are logged in."""
    people: Mapping[type, Handler]
    """For people; bots are refused."""
    world: World
    faults: Faults
    api_id: int
    seen: list[Seen] = field(default_factory=list)

    async def answer(self, authorization: Authorization, link: Link, wrapped: Any) -> Any:
        """
        Do what a client asks for.

        Raises
        ------
        RpcFailure
            The error that is the answer.
        HangUp
            If a fault breaks the connection.
        NoAnswer
            If a fault keeps the answer back for good.
        """
        request, wants_updates = self._unwrapped(authorization, wrapped)
        account = authorization.account
        self.seen.append(
            Seen(type(request).__name__, request, account.user.user_id if account else None, time.monotonic())
        )
        handler = self._admitted(authorization, request)
        if wants_updates and type(request) not in self.open and link not in authorization.links:
            # "Updates are sent to the connection that made the last high-level request" (…/api/updates#subscribing).
            authorization.links.append(link)
        fault = self.faults.strike(request)
        if fault is None:
            return handler(Call(self.world, authorization, link), request)
        if fault.until is not None:
            await fault.until.wait()
        result = handler(Call(self.world, authorization, link), request) if fault.carried_out else None
        if fault.cut:
            raise HangUp
        if fault.silent:
            raise NoAnswer
        if fault.failure is not None:
            raise RpcFailure(*fault.failure)
        return result

    def _unwrapped(self, authorization: Authorization, request: Any) -> tuple[Any, bool]:
        wants_updates = True
        while True:
            match request:
                case functions.InvokeWithLayerRequest():
                    if request.layer > LAYER:
                        raise RpcFailure(400, "INVALID_LAYER")
                case functions.InitConnectionRequest():
                    if request.api_id != self.api_id:
                        raise RpcFailure(400, "CONNECTION_API_ID_INVALID")
                    authorization.introduced = True
                case functions.InvokeWithoutUpdatesRequest():
                    wants_updates = False
                case functions.InvokeAfterMsgRequest() | functions.InvokeAfterMsgsRequest():
                    pass  # requests are carried out in the order in which they come
                case _:
                    return request, wants_updates
            request = request.query

    def _admitted(self, authorization: Authorization, request: Any) -> Handler:
        if not authorization.introduced:
            raise RpcFailure(400, "CONNECTION_NOT_INITED")
        if authorization.refusal is not None:
            raise RpcFailure(*authorization.refusal)
        method = type(request)
        if method in self.open:
            return self.open[method]
        if authorization.account is None:
            raise RpcFailure(401, "AUTH_KEY_UNREGISTERED")
        if method in self.accounts:
            return self.accounts[method]
        if method not in self.people:
            raise RpcFailure(400, "INPUT_METHOD_INVALID")
        if authorization.account.user.bot:
            raise RpcFailure(400, "BOT_METHOD_INVALID")
        return self.people[method]
