"""The sandbox's strings: faults, revoked sessions, and the operator's own phone."""

from types import TracebackType
from typing import Self, TypeVar

from nadia.errors import UnavailableError
from nadia.telegram.sandbox.address import Address
from nadia.telegram.sandbox.customer import translate
from nadia.telegram.sandbox.faults import FaultKind, FaultPlan, ForcedFault
from nadia.telegram.sandbox.link import Link
from nadia.telegram.sandbox.protocol import RequestRefusedError
from nadia.telegram.sandbox.wire import ChatMessage, Done, Statistics, Wire

Answer = TypeVar("Answer", bound=Wire)


class SandboxControl:
    """A connection for tests and the demo. Errors are those of ``CustomerClient``.

    Parameters
    ----------
    address : Address
        Where the sandbox listens.
    request_timeout : float
        Longest wait for an answer, in seconds.
    """

    def __init__(self, *, address: Address, request_timeout: float = 10.0) -> None:
        self._address = address
        self._request_timeout = request_timeout
        self._link: Link | None = None

    async def connect(self) -> None:
        """Connect."""
        await self.close()
        self._link = await Link.open(
            self._address, on_event=lambda _: None, on_lost=lambda: None, timeout=self._request_timeout
        )

    async def close(self) -> None:
        """Hang up."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def follow(self, plan: FaultPlan) -> None:
        """Replace the fault plan, start its chances over and forget forced faults; ``FaultPlan()`` ends all faults."""
        await self._request("control.faults", Done, plan=plan.model_dump(mode="json"))

    async def force(
        self, kind: FaultKind, *, method: str | None = None, times: int = 1, seconds: float | None = None
    ) -> None:
        """Make a fault happen at the next occasions.

        Parameters
        ----------
        kind : FaultKind
            The fault.
        method : str, optional
            Strike this method, such as ``account.typing``, instead of those that the kind usually strikes.
        times : int
            How often.
        seconds : float, optional
            Length of a flood wait or delay, instead of the plan's.
        """
        fault = ForcedFault(kind=kind, method=method, times=times, seconds=seconds)
        await self._request("control.force", Done, fault=fault.model_dump(mode="json"))

    async def cut(self, account: str) -> None:
        """Cut the connection that has the account."""
        await self._request("control.cut", Done, account=account)

    async def forget_updates(self, account: str) -> None:
        """Forget what the account was not told yet: only the histories know it then."""
        await self._request("control.forget", Done, account=account)

    async def revoke(self, account: str, *, code: str = "SESSION_REVOKED") -> None:
        """End an account's session."""
        await self._request("control.revoke", Done, account=account, code=code)

    async def restore(self, account: str) -> None:
        """Let a revoked account log in again."""
        await self._request("control.restore", Done, account=account)

    async def post_from_phone(
        self, *, account: str, user_id: int, text: str, reply_to: int | None = None
    ) -> ChatMessage:
        """Write to a customer from the operator's own phone, past the desk."""
        return await self._request(
            "control.phone", ChatMessage, account=account, user_id=user_id, text=text, reply_to=reply_to
        )

    async def statistics(self) -> Statistics:
        """Count what happened since the server's start."""
        return await self._request("control.statistics", Statistics)

    async def _request(self, method: str, answer: type[Answer], **params: object) -> Answer:
        if self._link is None:
            raise UnavailableError("not connected to the sandbox")
        try:
            return await self._link.request(method, answer, **params)
        except RequestRefusedError as refusal:
            raise translate(refusal) from refusal
