"""A server's output in a file that does not grow without bound."""

from pathlib import Path
from typing import BinaryIO

CAP_BYTES = 8 * 1024 * 1024
"""Per file, with one predecessor of the same size: far below the 1 GB that all logs together may take."""


class ServerLog:
    """The log file of one server.

    Parameters
    ----------
    path : Path
        The file.
    cap_bytes : int
        Above that it is moved to ``<name>.1``.
    """

    def __init__(self, *, path: Path, cap_bytes: int = CAP_BYTES) -> None:
        self._path = path
        self._cap_bytes = cap_bytes
        self._started_at = 0

    def open(self) -> BinaryIO:
        """Open the file for a server that is about to start."""
        self.trim()
        stream = self._path.open("ab")
        self._path.chmod(0o600)
        self._started_at = stream.tell()
        return stream

    def trim(self) -> None:
        """Keep within the cap, also under a running server.

        The server holds the file open for appending, so the content is copied away and the file emptied in place; a
        line written in between can be lost, which a log can bear.
        """
        if not self._path.exists() or self._path.stat().st_size <= self._cap_bytes:
            return
        with self._path.open("rb+") as file:
            file.seek(-self._cap_bytes, 2)
            self._path.with_name(f"{self._path.name}.1").write_bytes(file.read())
            file.truncate(0)
        self._started_at = 0

    def tail(self, lines: int = 8) -> str:
        """The last lines written since the server's start, for an error message."""
        with self._path.open("rb") as file:
            file.seek(self._started_at)
            text = file.read(self._cap_bytes).decode(errors="replace")
        return "\n".join(text.strip().splitlines()[-lines:])
