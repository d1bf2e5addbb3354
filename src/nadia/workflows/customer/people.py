"""Finding a customer by what an operator has at hand."""

import re
from dataclasses import dataclass
from typing import Final

from nadia.postgres.database import Connection, Row

MOST_CANDIDATES: Final = 20
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_PREFIXED: Final = re.compile(r"(person|conversation)[: ]([0-9]{1,18})")

# Whoever fits, with how well: 0 for what names exactly one thing of theirs, 1 for a part of the name. Wildcards in what
# was asked for are letters like others.
_FIND = """
SELECT p.id, p.network, p.telegram_user_id, p.name, p.username, p.created_at, f.fit,
    ARRAY(SELECT c.id FROM conversations c WHERE c.person_id = p.id ORDER BY c.id) AS conversations
FROM people p CROSS JOIN LATERAL (SELECT CASE
    WHEN p.id = %(person)s OR p.telegram_user_id = %(number)s OR lower(p.username) = lower(%(username)s)
        OR lower(p.name) = lower(%(name)s)
        OR p.id = (SELECT c.person_id FROM conversations c WHERE c.id = %(conversation)s) THEN 0
    WHEN strpos(lower(p.name), lower(%(name)s)) > 0 THEN 1 END AS fit) f
WHERE f.fit IS NOT NULL ORDER BY f.fit, p.id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Somebody who wrote.

    Parameters
    ----------
    person_id, telegram_user_id : int
        Ours and Telegram's.
    network : str
        Whose user they are.
    name, username : str, str or None
        What they call themselves.
    conversations : tuple of int
        One for each account that they wrote to.
    """

    person_id: int
    telegram_user_id: int
    network: str
    name: str
    username: str | None
    conversations: tuple[int, ...]


async def find(conn: Connection, who: str) -> list[Customer]:
    """Return the customers that are meant: those that fit exactly, else those of whose name it is a part.

    Parameters
    ----------
    conn : Connection
        PostgreSQL.
    who : str
        Telegram's user id, ``@username``, ``conversation:7``, ``person:7``, a number of a conversation, or a name.
    """
    asked = who.strip()
    if not asked:  # a part of every name
        return []
    values: dict[str, object] = dict.fromkeys(("person", "number", "username", "name", "conversation"))
    if match := _PREFIXED.fullmatch(asked.lower()):
        values[match[1]] = int(match[2])
    elif _NUMBER.fullmatch(asked):
        values |= {"number": int(asked), "conversation": int(asked)}
    elif asked.startswith("@"):
        values["username"] = asked[1:]
    else:
        values |= {"name": asked, "username": asked}
    rows = await (await conn.execute(_FIND, values | {"limit": MOST_CANDIDATES})).fetchall()
    return [_read(row) for row in rows if row["fit"] == rows[0]["fit"]]


def _read(row: Row) -> Customer:
    return Customer(
        person_id=row["id"],
        telegram_user_id=row["telegram_user_id"],
        network=row["network"],
        name=row["name"],
        username=row["username"],
        conversations=tuple(row["conversations"]),
    )
