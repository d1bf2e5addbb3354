"""`python -m nadia.postgres.upgrade`: bring a schema up to date; the connection string comes on standard input.

A process of its own, so that the process that serves never loads Alembic and SQLAlchemy.
"""

import sys

from nadia.errors import NadiaError
from nadia.postgres import schema


def main() -> int:
    """Upgrade to the newest revision; an error's message goes to standard error."""
    try:
        schema.upgrade(sys.stdin.read().strip())
    except NadiaError as exc:
        print(exc.message, file=sys.stderr)  # noqa: T201 - this is how the parent hears of it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
