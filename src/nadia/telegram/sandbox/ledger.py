"""SQLite on a thread of its own: what is asked for while it writes shares the next commit."""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from nadia.errors import ConfigurationError, ConflictError, UnavailableError
from nadia.telegram.sandbox.protocol import RequestRefusedError
from nadia.telegram.sandbox.store import SCHEMA, SCHEMA_VERSION, UPGRADES, Outcome

log = structlog.get_logger(__name__)

_COMMIT_SHARE: Final = 500
"""Most operations in one commit; bounds how long the first of them waits for the last."""

Operation: TypeAlias = Callable[[sqlite3.Connection], Outcome]
Committed: TypeAlias = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class _Entry:
    operation: Operation
    committed: Committed
    future: asyncio.Future[Outcome]


_Settled: TypeAlias = tuple[_Entry, Outcome | Exception]


class Ledger:
    """The sandbox's durable store. One server at a time may have it open.

    An operation has its effect wholly or not at all, and in the order of asking. It is acknowledged after its commit,
    so killing the process loses nothing that was acknowledged. (A power cut may: a sandbox does not pay for fsync.)

    Parameters
    ----------
    path : Path
        The database file; made when absent, in a folder that exists.
    """

    def __init__(self, *, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Open the file and start the thread.

        Raises
        ------
        ConflictError
            If another server has it open.
        ConfigurationError
            If it is not a sandbox's database, or another version's.
        """
        connection = await asyncio.to_thread(_connect, self._path)
        self._loop = asyncio.get_running_loop()
        # a daemon thread, so that a process that dies of an error is not held up: unacknowledged work may go with it
        self._thread = threading.Thread(target=self._work, args=(connection,), name="sandbox-ledger", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Finish what was asked for and close the file."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join)
            await asyncio.sleep(0)  # lets the last acknowledgements, already scheduled, reach those who wait

    async def run(self, operation: Operation, committed: Committed) -> Outcome:
        """Run an operation and wait until it is committed.

        Parameters
        ----------
        operation : callable
            Runs on the ledger's thread, inside a transaction.
        committed : callable
            Called on the event loop right after the commit; for all operations in the order of the commits.

        Raises
        ------
        RequestRefusedError
            As the operation raised it; then it had no effect.
        UnavailableError
            If the store cannot be written.
        """
        if self._thread is None or self._loop is None:
            raise UnavailableError("the sandbox's store is closed")
        future: asyncio.Future[Outcome] = self._loop.create_future()
        self._queue.put(_Entry(operation, committed, future))
        return await future

    def _work(self, connection: sqlite3.Connection) -> None:
        assert self._loop is not None
        going_on = True
        while going_on:
            share, going_on = self._next_share()
            settled = _commit(connection, share)
            try:
                self._loop.call_soon_threadsafe(_acknowledge, settled)
            except RuntimeError:  # the loop is gone and nobody waits any more
                break
        connection.close()

    def _next_share(self) -> tuple[list[_Entry], bool]:
        share: list[_Entry] = []
        entry = self._queue.get()
        while entry is not None:
            share.append(entry)
            if len(share) == _COMMIT_SHARE:
                return share, True
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return share, True
        return share, False


def _acknowledge(settled: list[_Settled]) -> None:
    for entry, result in settled:
        if isinstance(result, Outcome):
            entry.committed(result)
        if entry.future.done():  # given up by the one who asked
            continue
        if isinstance(result, Outcome):
            entry.future.set_result(result)
        else:
            entry.future.set_exception(result)


def _commit(connection: sqlite3.Connection, share: list[_Entry]) -> list[_Settled]:
    if not share:
        return []
    try:
        connection.execute("BEGIN IMMEDIATE")
        settled: list[_Settled] = [(entry, _attempt(connection, entry.operation)) for entry in share]
        connection.execute("COMMIT")
    except sqlite3.Error as exc:
        log.exception("telegram.sandbox.commit_failed", operations=len(share))
        if connection.in_transaction:
            connection.rollback()
        failure = UnavailableError(f"the sandbox's store cannot be written: {exc}", hint="is the disk full?")
        return [(entry, failure) for entry in share]
    return settled


def _attempt(connection: sqlite3.Connection, operation: Operation) -> Outcome | Exception:
    connection.execute("SAVEPOINT operation")
    try:
        outcome: Outcome | Exception = operation(connection)
    except RequestRefusedError as refusal:
        outcome = refusal
    except sqlite3.OperationalError:  # the file or the disk, not this operation: the whole share fails
        raise
    except Exception as exc:
        log.exception("telegram.sandbox.operation_failed")
        outcome = exc
    if isinstance(outcome, Exception):
        connection.execute("ROLLBACK TO operation")
    connection.execute("RELEASE operation")
    return outcome


def _connect(path: Path) -> sqlite3.Connection:
    with contextlib.ExitStack() as unless_ready:
        try:
            path.touch(mode=0o600)
            # used by one thread at a time, though not the one that opens it; how long to wait for a lock, in seconds
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.5)
            unless_ready.callback(connection.close)
            _prepare(connection, path)
        except (sqlite3.OperationalError, OSError) as exc:
            if "locked" in str(exc):
                raise ConflictError(f"another sandbox has {path} open", hint="stop it first") from exc
            raise UnavailableError(f"the sandbox cannot write {path}: {exc}") from exc
        except sqlite3.DatabaseError as exc:
            raise ConfigurationError(f"{path} is not a sandbox's database", hint="move the file away") from exc
        unless_ready.pop_all()
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    # exclusive: two servers on one file would each keep their own idea of what their clients were told
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    statements = SCHEMA if version == 0 else _upgrade_from(version)
    if statements is None:
        raise ConfigurationError(
            f"{path} was written by another version of the sandbox", hint="move the file away to start afresh"
        )
    for statement in statements:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _upgrade_from(version: int) -> tuple[str, ...] | None:
    """Return what brings a file to the present version; None for one of a version that is not known."""
    if version > SCHEMA_VERSION or any(older not in UPGRADES for older in range(version, SCHEMA_VERSION)):
        return None
    return tuple(statement for older in range(version, SCHEMA_VERSION) for statement in UPGRADES[older])
