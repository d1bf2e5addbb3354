"""The sandbox's server: who is connected, who is logged in where, who is told of what."""

import asyncio
import contextlib
import math
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog

from nadia.clock import Clock, utc_now
from nadia.errors import ConflictError
from nadia.telegram.sandbox import customer_operations, desk_operations, requests, store
from nadia.telegram.sandbox.address import Address
from nadia.telegram.sandbox.connection import Connection, Counts, CutOffError
from nadia.telegram.sandbox.faults import FaultKind, FaultPlan, Faults
from nadia.telegram.sandbox.ledger import Ledger, Operation
from nadia.telegram.sandbox.listening import listen, make_private_folder, stop_listening
from nadia.telegram.sandbox.protocol import MAX_REQUEST_BYTES, RequestRefusedError
from nadia.telegram.sandbox.store import Outcome, ToAccount
from nadia.telegram.sandbox.wire import Difference, Done, NumberedUpdate, SessionClosed, Statistics, Wire

log = structlog.get_logger(__name__)

REMEMBERED_SENDS: Final = 1_000
"""How many random ids of an account are known again. Telegram names no number and promises none."""
_MAX_CONNECTIONS: Final = 1_000
_MAX_WATCHED: Final = 1_000


class SandboxServer:
    """A Telegram of this machine's own.

    Parameters
    ----------
    address : Address
        Where to listen.
    database : Path
        Its own SQLite file; everything that was acknowledged is in it.
    accounts : iterable of str
        Accounts that exist from the start, so that customers can write before the desk first logs in.
    faults : FaultPlan, optional
        What goes wrong on purpose; nothing by default.
    remembered_sends : int
        How many random ids are remembered for each account, first in first out.
    clock : Clock
        Tells the time of messages.
    """

    def __init__(
        self,
        *,
        address: Address,
        database: Path,
        accounts: Iterable[str] = ("sandbox",),
        faults: FaultPlan | None = None,
        remembered_sends: int = REMEMBERED_SENDS,
        clock: Clock = utc_now,
    ) -> None:
        self.address = address
        self._database = database
        self._accounts = tuple(accounts)
        self._faults = Faults(faults)
        self._remembered_sends = remembered_sends
        self._clock = clock
        self._counts = Counts()
        self._ledger = Ledger(path=database)
        self._listening: asyncio.Server | None = None
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._sessions: dict[str, Connection] = {}
        self._watchers: defaultdict[int, set[Connection]] = defaultdict(set)

    async def start(self) -> None:
        """Open the store, then listen.

        Raises
        ------
        ConflictError
            If another server has the store or the address.
        ConfigurationError
            If the store is of another kind or version, or a folder is open to others.
        UnavailableError
            If the store cannot be written or the address not be listened on.
        """
        if self._listening is not None:
            raise ConflictError("this sandbox is running already")
        make_private_folder(self._database.parent)
        await self._ledger.open()
        try:
            await self._commit(partial(desk_operations.open_accounts, names=self._accounts))
            self._listening, self.address = await listen(self.address, self._on_connection, limit=MAX_REQUEST_BYTES)
        except BaseException:
            await self._ledger.close()
            raise
        log.info("telegram.sandbox.started", address=str(self.address))

    async def close(self) -> None:
        """Hang up on everyone and close the store."""
        if self._listening is None:
            return
        stop_listening(self._listening, self.address)
        self._listening = None
        serving = list(self._connections.items())
        for connection, task in serving:
            connection.cut()
            task.cancel()
        await asyncio.gather(*(task for _, task in serving), return_exceptions=True)
        await self._ledger.close()
        log.info("telegram.sandbox.stopped", address=str(self.address))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader=reader, writer=writer, serve=self._serve, counts=self._counts)
        task = asyncio.current_task()
        if self._listening is None or task is None or len(self._connections) >= _MAX_CONNECTIONS:
            connection.cut()
            return
        self._connections[connection] = task
        # a cancelled connection was closed by us; there is nobody above this task who would want to know
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await connection.run()
            finally:
                del self._connections[connection]
                self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        if connection.account is not None and self._sessions.get(connection.account) is connection:
            del self._sessions[connection.account]
        for user_id in connection.watched:
            self._watchers[user_id].discard(connection)
            if not self._watchers[user_id]:
                del self._watchers[user_id]

    async def _serve(self, connection: Connection, request: requests.Request) -> Wire:
        match request:
            case requests.LogIn():
                return await self._log_in(connection, request)
            case requests.AccountRequest():
                return await self._serve_account(connection, request)
            case requests.Watch():
                if len(connection.watched) >= _MAX_WATCHED:
                    raise RequestRefusedError(
                        "WATCHES_TOO_MUCH", f"a connection watches at most {_MAX_WATCHED} customers"
                    )
                connection.watched.add(request.user_id)
                self._watchers[request.user_id].add(connection)
            case requests.Cut():
                if request.account in self._sessions:
                    self._sessions[request.account].cut()
            case requests.SetFaults():
                self._faults.follow(request.plan)
            case requests.ForceFault():
                self._faults.force(request.fault)
            case requests.GetStatistics():
                return Statistics(
                    connections=len(self._connections),
                    requests=self._counts.requests,
                    refusals=self._counts.refusals,
                    frames_refused=self._counts.frames_refused,
                    sessions_displaced=self._counts.sessions_displaced,
                )
            case _:
                return await self._commit(self._operation(request))
        return Done()

    async def _log_in(self, connection: Connection, request: requests.LogIn) -> Wire:
        if self._faults.strike(FaultKind.REFUSE_CONNECTION, request.METHOD):
            raise CutOffError
        if connection.account is not None:
            raise RequestRefusedError("AUTH_KEY_IN_USE", f"this connection is logged in as {connection.account!r}")

        def take_over(outcome: Outcome) -> None:
            # in the order of commits: whatever is committed from now on is told to this connection
            older = self._sessions.get(request.account)
            if older is not None:
                self._counts.sessions_displaced += not older.gone
                self._end_session(request.account, SessionClosed(code="AUTH_KEY_DUPLICATED"))
            connection.account = request.account
            self._sessions[request.account] = connection

        return (await self._ledger.run(partial(desk_operations.log_in, request=request), take_over)).answer

    async def _serve_account(self, connection: Connection, request: requests.AccountRequest) -> Wire:
        account, method = connection.account, request.METHOD
        if account is None:
            raise RequestRefusedError("AUTH_KEY_UNREGISTERED", "this connection is not logged in")
        self._fail_before(method)
        answer = await self._commit(self._account_operation(account, request))
        if self._faults.strike(FaultKind.DROP_ANSWER, method):
            raise CutOffError
        seconds = self._faults.strike_seconds(FaultKind.SLOW_ANSWER, method)
        if seconds is not None:
            await asyncio.sleep(seconds)
        return self._with_duplicates(answer) if isinstance(answer, Difference) else answer

    def _fail_before(self, method: str) -> None:
        if self._faults.strike(FaultKind.DISCONNECT, method):
            raise CutOffError
        seconds = self._faults.strike_seconds(FaultKind.FLOOD_WAIT, method)
        if seconds is not None:
            whole = math.ceil(seconds)
            raise RequestRefusedError("FLOOD_WAIT", f"wait {whole} s", seconds=whole)
        if self._faults.strike(FaultKind.PEER_FLOOD, method):
            raise RequestRefusedError("PEER_FLOOD", "the account is limited")

    def _with_duplicates(self, answer: Difference) -> Difference:
        delivered: list[NumberedUpdate] = []
        for update in answer.updates:
            twice = self._faults.strike(FaultKind.DUPLICATE_UPDATE, requests.GetDifference.METHOD)
            delivered.extend([update, update] if twice else [update])
        return answer.model_copy(update={"updates": tuple(delivered)})

    def _account_operation(self, account: str, request: requests.AccountRequest) -> Operation:
        match request:
            case requests.GetDifference():
                return partial(desk_operations.difference, account=account, request=request)
            case requests.Send():
                return partial(
                    desk_operations.send,
                    account=account,
                    request=request,
                    now=self._clock(),
                    memory=self._remembered_sends,
                )
            case requests.SetTyping():
                return partial(desk_operations.show_typing, account=account, request=request)
            case requests.AccountHistory():
                return partial(store.history, account=account, user_id=request.chat_id, page=request)
            case requests.GetDialogs():
                return partial(desk_operations.dialogs, account=account, request=request)
            case _:
                raise AssertionError(f"nothing serves {request.METHOD}")

    def _operation(self, request: requests.Request) -> Operation:
        now = self._clock()
        match request:
            case requests.CreateCustomer():
                return partial(customer_operations.create_customer, request=request)
            case requests.ListCustomers():
                return partial(customer_operations.list_customers, request=request)
            case requests.ListAccounts():
                return customer_operations.list_accounts
            case requests.Write():
                return partial(customer_operations.write, request=request, now=now)
            case requests.CustomerTypes():
                return partial(customer_operations.customer_types, request=request)
            case requests.Edit():
                return partial(customer_operations.edit, request=request, now=now)
            case requests.Delete():
                return partial(customer_operations.delete, request=request)
            case requests.Block():
                return partial(customer_operations.block, request=request)
            case requests.CustomerHistory():
                return partial(store.history, account=request.account, user_id=request.user_id, page=request)
            case requests.PostFromPhone():
                return partial(desk_operations.post_from_phone, request=request, now=now)
            case requests.ForgetUpdates():
                return partial(desk_operations.forget_updates, account=request.account)
            case requests.Revoke():
                return partial(desk_operations.revoke, account=request.account, code=request.code)
            case requests.Restore():
                return partial(desk_operations.revoke, account=request.account, code=None)
            case _:
                raise AssertionError(f"nothing serves {request.METHOD}")

    async def _commit(self, operation: Operation) -> Wire:
        return (await self._ledger.run(operation, self._publish)).answer

    def _publish(self, outcome: Outcome) -> None:
        for notice in outcome.notices:
            if not isinstance(notice, ToAccount):
                for window in self._watchers.get(notice.user_id, ()):
                    window.push(notice.event)
            elif isinstance(notice.event, SessionClosed):
                self._end_session(notice.account, notice.event)
            elif notice.account in self._sessions:
                self._sessions[notice.account].push(notice.event)

    def _end_session(self, account: str, event: SessionClosed) -> None:
        session = self._sessions.pop(account, None)
        if session is not None:
            session.account = None
            session.push(event)
            session.hang_up()
            log.info("telegram.sandbox.session_closed", account=account, code=event.code)
