"""How a backup looks among PostgreSQL's sessions."""

from typing import Final

BACKUP: Final = "pg_dump"
"""What a dump, and each of a parallel dump's sessions, calls itself (application_name).

It reads everything in one transaction, which is as old as the dump is long, on purpose: to end it is to have no backup.
"""


def how_to_end(application: str, pid: int) -> str:
    """Return what to do about the transaction of a session that is in the way."""
    if application == BACKUP:
        return "wait until the backup is done"
    return f"let its program end the transaction, or SELECT pg_terminate_backend({pid})"
