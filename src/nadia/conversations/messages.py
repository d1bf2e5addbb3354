"""Messages on record: what customers wrote, what the desk sent, what the operator wrote from a phone.

Their order is Telegram's, whose ids rise: what is read late, after newer messages, still stands in its place.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from nadia.conversations.media import media_as_fields, media_from_fields
from nadia.conversations.models import Conversation
from nadia.conversations.order import PLACE
from nadia.conversations.parked_updates import park_update
from nadia.conversations.transitions import conversation_from_row
from nadia.errors import NadiaError, NotFoundError
from nadia.postgres.database import Connection, Database
from nadia.redis.keys import partition_of
from nadia.telegram.gateway import Media

# Every inbound statement begins with this: the account's row, if it is still ours. The share lock holds up a take-over
# until the statement is committed, so that nothing of an old owner's is written after it.
_OWNED = """
owned AS (
    SELECT id FROM telegram_accounts
    WHERE id = %(account_id)s AND fencing_token = %(fencing_token)s AND expires_at > clock_timestamp()
    FOR SHARE
)
"""

# The customer and the chat, made with the first message. A changed name is taken over; where none is told, what is on
# record stays, and somebody new is called by the number.
_ENSURE_CONVERSATION = """
WITH owned AS (
    SELECT id FROM telegram_accounts
    WHERE id = %(account_id)s AND (
        %(fencing_token)s::bigint IS NULL
        OR fencing_token = %(fencing_token)s AND expires_at > clock_timestamp()
    )
    FOR SHARE
), person AS (
    INSERT INTO people (network, telegram_user_id, name, username)
    SELECT %(network)s, %(user_id)s, coalesce(nullif(%(name)s, ''), %(user_id)s::text), %(username)s FROM owned
    ON CONFLICT (network, telegram_user_id) DO UPDATE SET
        name = CASE WHEN %(name)s = '' THEN people.name ELSE excluded.name END,
        username = CASE WHEN %(name)s = '' THEN people.username ELSE excluded.username END
    RETURNING id
)
INSERT INTO conversations (telegram_account_id, chat_id, person_id, partition)
SELECT %(account_id)s, %(chat_id)s, person.id, %(partition)s FROM person
ON CONFLICT (telegram_account_id, chat_id) DO UPDATE SET person_id = excluded.person_id
RETURNING id, telegram_account_id, chat_id, partition, revision, replies, disclosed_at
"""

_FIND_CONVERSATION = """
SELECT id, telegram_account_id, chat_id, partition, revision, replies, disclosed_at
FROM conversations WHERE telegram_account_id = %(account_id)s AND chat_id = %(chat_id)s
"""

# One statement, one commit: the check that this process still owns the account, the message, and the conversation's new
# revision. Raising it locks the conversation until the commit: sealing sees all of a message or nothing of it. A reply
# of our own makes nothing outdated: it raises the other half of the conversation's version.
_RECORD = f"""
WITH {_OWNED}, stored AS (
    INSERT INTO messages (conversation_id, telegram_account_id, chat_id, telegram_message_id, direction, author,
                          kind, text, media, reply_to, sent_at, edited_at, recovered_by)
    SELECT c.id, owned.id, %(chat_id)s, %(telegram_message_id)s, %(direction)s, %(author)s, %(kind)s, %(text)s,
           %(media)s::jsonb, %(reply_to)s, %(sent_at)s, %(edited_at)s, %(recovered_by)s
    FROM owned, conversations c WHERE c.id = %(conversation_id)s
    ON CONFLICT (telegram_account_id, chat_id, telegram_message_id) DO NOTHING
    RETURNING id, direction
)
UPDATE conversations c SET
    revision = c.revision + CASE WHEN %(own)s THEN 0 ELSE 1 END,
    replies = c.replies + CASE WHEN %(own)s THEN 1 ELSE 0 END,
    last_inbound_at = CASE stored.direction WHEN 'in' THEN clock_timestamp() ELSE c.last_inbound_at END
FROM stored WHERE c.id = %(conversation_id)s
RETURNING stored.id, c.revision, c.replies
"""  # noqa: S608 - constants only

# Why that stored nothing; a token that was not the owner's then is not now.
_WHY_NOT = f"""
WITH {_OWNED}
SELECT EXISTS (SELECT 1 FROM owned) AS owned,
       EXISTS (SELECT 1 FROM conversations WHERE id = %(conversation_id)s) AS found
"""  # noqa: S608 - constants only

# Whoever asks whether a message is our own must not be overtaken by delivery, which locks the conversation too.
_LOCK = "SELECT 1 FROM conversations WHERE id = %(conversation_id)s FOR UPDATE"

# An edit or a deletion is an inbound event of its own: the revision rises when it changed anything. Conversations are
# locked before their messages, as sealing does. An update that comes again must not undo a later edit.
_EDIT = f"""
WITH {_OWNED}, conversation AS (
    SELECT c.id FROM conversations c, owned
    WHERE c.telegram_account_id = owned.id AND c.chat_id = %(chat_id)s FOR UPDATE OF c
), edited AS (
    UPDATE messages m SET
        text = %(text)s, edited_at = %(edited_at)s, kind = coalesce(%(kind)s, m.kind),
        media = CASE WHEN %(kind)s::text IS NULL THEN m.media ELSE %(media)s::jsonb END
    FROM conversation
    WHERE m.conversation_id = conversation.id AND m.telegram_account_id = %(account_id)s
      AND m.chat_id = %(chat_id)s AND m.telegram_message_id = %(telegram_message_id)s
      AND (m.edited_at IS NULL OR m.edited_at <= %(edited_at)s)
      AND (
        m.text <> %(text)s OR m.edited_at IS DISTINCT FROM %(edited_at)s
        OR %(kind)s::text IS NOT NULL AND (m.kind, m.media) IS DISTINCT FROM (%(kind)s, %(media)s::jsonb)
      )
    RETURNING m.conversation_id
), risen AS (
    UPDATE conversations SET revision = revision + 1 WHERE id IN (SELECT conversation_id FROM edited)
    RETURNING id, telegram_account_id, chat_id, partition, revision, replies, disclosed_at
)
SELECT (SELECT count(*) FROM owned) AS owned, risen.* FROM (SELECT 1) one LEFT JOIN risen ON true
"""  # noqa: S608 - constants only

_DELETE = f"""
WITH {_OWNED}, concerned AS (
    SELECT c.id FROM conversations c, owned
    WHERE c.id IN (
        SELECT m.conversation_id FROM messages m
        WHERE m.telegram_account_id = %(account_id)s AND m.telegram_message_id = ANY(%(telegram_message_ids)s)
          AND (%(chat_id)s::bigint IS NULL OR m.chat_id = %(chat_id)s) AND m.deleted_at IS NULL
    )
    ORDER BY c.id FOR UPDATE OF c
), deleted AS (
    UPDATE messages m SET deleted_at = clock_timestamp() FROM concerned
    WHERE m.conversation_id = concerned.id AND m.telegram_account_id = %(account_id)s
      AND m.telegram_message_id = ANY(%(telegram_message_ids)s)
      AND (%(chat_id)s::bigint IS NULL OR m.chat_id = %(chat_id)s) AND m.deleted_at IS NULL
    RETURNING m.conversation_id
), risen AS (
    UPDATE conversations SET revision = revision + 1 WHERE id IN (SELECT conversation_id FROM deleted)
    RETURNING id, telegram_account_id, chat_id, partition, revision, replies, disclosed_at
)
SELECT (SELECT count(*) FROM owned) AS owned, risen.* FROM (SELECT 1) one LEFT JOIN risen ON true
"""  # noqa: S608 - constants only

# The newest messages, oldest of them first, and how far the conversation has come with them: one statement, so that
# the two belong together.
_HISTORY = f"""
SELECT c.revision AS conversation_revision, c.replies AS conversation_replies, newest.*
FROM conversations c LEFT JOIN LATERAL (
    SELECT m.id, m.telegram_message_id, m.direction, m.author, m.kind, m.text, m.media, m.reply_to, m.sent_at,
           m.received_at, m.edited_at, m.deleted_at, m.batch_id, {PLACE} AS place
    FROM messages m WHERE m.conversation_id = c.id ORDER BY {PLACE} DESC, m.id DESC LIMIT %(limit)s
) newest ON true
WHERE c.id = %(conversation_id)s ORDER BY newest.place, newest.id
"""  # noqa: S608 - constants only


class NotOwnerError(NadiaError):
    """This process no longer owns the Telegram account and must stop acting for it."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to put on record.

    Parameters
    ----------
    telegram_message_id : int
        Telegram's id.
    direction : str
        ``in`` or ``out``.
    author : str
        ``customer``, ``desk`` or ``phone``.
    kind : str
        ``text``, ``photo`` and so on.
    text : str
        What PostgreSQL can store; intake cleans it.
    reply_to : int or None
        Telegram's id of the message that it answers.
    sent_at : datetime
        Telegram's time.
    edited_at : datetime or None
        Telegram's time of the last edit.
    media : Media or None
        What it carries besides the text.
    recovered_by : int or None
        The recovery operation that found it; None where Telegram told of it live.
    """

    telegram_message_id: int
    direction: str
    author: str
    kind: str
    text: str
    reply_to: int | None
    sent_at: datetime
    edited_at: datetime | None = None
    media: Media | None = None
    recovered_by: int | None = None


@dataclass(frozen=True, slots=True)
class Message(NewMessage):
    """A message on record; ``place`` orders it among those of its conversation."""

    id: int = 0
    place: int = 0
    received_at: datetime | None = None
    deleted_at: datetime | None = None
    batch_id: int | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A message that is now on record: its row, and how far its conversation has come with it."""

    id: int
    revision: int
    replies: int


@dataclass(frozen=True, slots=True)
class History:
    """The newest messages of a conversation, oldest of them first, and how far it has come with them."""

    revision: int
    replies: int
    messages: list[Message]


class Messages:
    """Writes and reads messages.

    Parameters
    ----------
    database : Database
        Where they are.
    """

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def ensure_conversation(
        self,
        *,
        network: str,
        account_id: str,
        chat_id: int,
        user_id: int,
        name: str,
        username: str | None,
        fencing_token: int | None = None,
    ) -> Conversation:
        """Return the conversation of a chat, made if new.

        Parameters
        ----------
        network : str
            ``sandbox`` or ``telegram``.
        account_id : str
            The Telegram account that the chat belongs to.
        chat_id, user_id : int
            Telegram's.
        name : str
            As the customer is called now, in what PostgreSQL can store; empty where nobody told that, nor a username.
        username : str, optional
            The customer's, if there is one; what PostgreSQL can store.
        fencing_token : int, optional
            Of the account's owner; absent where nobody acts on the network.

        Raises
        ------
        NotOwnerError
            If the fencing token is not the account's, or has expired, or there is no such account; nothing was written.
        """
        async with self._database.connection() as conn:
            cursor = await conn.execute(
                _ENSURE_CONVERSATION,
                {
                    "network": network,
                    "account_id": account_id,
                    "chat_id": chat_id,
                    "user_id": user_id,
                    "name": name,
                    "username": username,
                    "partition": partition_of(account_id, chat_id),
                    "fencing_token": fencing_token,
                },
            )
            row = await cursor.fetchone()
        if row is None:
            raise _not_owner()
        return conversation_from_row(row)

    async def find_conversation(self, *, account_id: str, chat_id: int) -> Conversation | None:
        """Return the conversation of a chat, if it has begun."""
        async with self._database.connection() as conn:
            cursor = await conn.execute(_FIND_CONVERSATION, {"account_id": account_id, "chat_id": chat_id})
            row = await cursor.fetchone()
        return None if row is None else conversation_from_row(row)

    async def park(
        self, *, account_id: str, fencing_token: int, event: str, payload: Mapping[str, object], error: str
    ) -> None:
        """Keep an update that cannot be put on record, with a notice; parameters as for `park_update`.

        Raises
        ------
        NotOwnerError
            If the fencing token is not the account's, or has expired; nothing was written.
        """
        async with self._database.transaction() as conn:
            if not await park_update(
                conn, account_id=account_id, fencing_token=fencing_token, event=event, payload=payload, error=error
            ):
                raise _not_owner()

    async def record(self, conversation: Conversation, message: NewMessage, *, fencing_token: int) -> Recorded | None:
        """Put a customer's message on record.

        Returns
        -------
        Recorded or None
            None if it was on record already.

        Raises
        ------
        NotOwnerError
            If the fencing token is not the account's, or has expired; nothing was written.
        NotFoundError
            If the conversation is gone: it was erased since it was read.
        """
        async with self._database.connection() as conn:
            return await _record(conn, conversation, message, fencing_token=fencing_token, own=False)

    async def record_outgoing(
        self,
        conversation: Conversation,
        message: NewMessage,
        *,
        fencing_token: int,
        is_own: Callable[[Connection], Awaitable[bool]],
    ) -> Recorded | None:
        """Put a message of the account's on record that Telegram shows: by the operator's phone, or by delivery.

        Parameters
        ----------
        conversation, message, fencing_token
            As for `record`, which says what is returned and raised too.
        is_own : callable
            Tells, under the conversation's lock, whether the message is a reply whose record delivery has yet to
            finish. The message is on record then as well, but the revision does not rise: replies do not make
            themselves outdated.
        """
        async with self._database.transaction() as conn:
            await conn.execute(_LOCK, {"conversation_id": conversation.id})
            return await _record(conn, conversation, message, fencing_token=fencing_token, own=await is_own(conn))

    async def edit(
        self,
        *,
        account_id: str,
        chat_id: int,
        telegram_message_id: int,
        text: str,
        edited_at: datetime,
        kind: str | None = None,
        media: Media | None = None,
        fencing_token: int,
    ) -> list[Conversation]:
        """Take over an edit; returns the conversation concerned, if it changed anything there.

        Without a kind, the message keeps its kind and its media.
        """
        return await self._revise(
            _EDIT,
            {
                "account_id": account_id,
                "fencing_token": fencing_token,
                "chat_id": chat_id,
                "telegram_message_id": telegram_message_id,
                "text": text,
                "edited_at": edited_at,
                "kind": kind,
                "media": _stored_media(media),
            },
        )

    async def delete(
        self, *, account_id: str, chat_id: int | None, telegram_message_ids: Sequence[int], fencing_token: int
    ) -> list[Conversation]:
        """Mark messages as deleted by their author; returns the conversations concerned."""
        return await self._revise(
            _DELETE,
            {
                "account_id": account_id,
                "fencing_token": fencing_token,
                "chat_id": chat_id,
                "telegram_message_ids": list(telegram_message_ids),
            },
        )

    async def history(self, conversation_id: int, *, limit: int) -> History:
        """Return the newest messages of a conversation, oldest of them first, with the version that they show.

        Raises
        ------
        NotFoundError
            If there is no such conversation.
        """
        async with self._database.connection() as conn:
            cursor = await conn.execute(_HISTORY, {"conversation_id": conversation_id, "limit": limit})
            rows = await cursor.fetchall()
        if not rows:
            raise NotFoundError(f"there is no conversation {conversation_id}")
        revision, replies = rows[0]["conversation_revision"], rows[0]["conversation_replies"]
        for row in rows:
            del row["conversation_revision"], row["conversation_replies"]
        return History(
            revision=revision,
            replies=replies,
            messages=[
                Message(**row | {"media": media_from_fields(row["media"])}) for row in rows if row["id"] is not None
            ],
        )

    async def _revise(self, statement: str, values: Mapping[str, object]) -> list[Conversation]:
        async with self._database.connection() as conn:
            rows = await (await conn.execute(statement, values)).fetchall()
        if not rows[0]["owned"]:
            raise _not_owner()
        return [conversation_from_row(row) for row in rows if row["id"] is not None]


async def _record(
    conn: Connection, conversation: Conversation, message: NewMessage, *, fencing_token: int, own: bool
) -> Recorded | None:
    values = {
        "conversation_id": conversation.id,
        "account_id": conversation.telegram_account_id,
        "chat_id": conversation.chat_id,
        "fencing_token": fencing_token,
        "telegram_message_id": message.telegram_message_id,
        "direction": message.direction,
        "author": message.author,
        "kind": message.kind,
        "text": message.text,
        "media": _stored_media(message.media),
        "reply_to": message.reply_to,
        "sent_at": message.sent_at,
        "edited_at": message.edited_at,
        "recovered_by": message.recovered_by,
        "own": own,
    }
    row = await (await conn.execute(_RECORD, values)).fetchone()
    if row is None:
        await _require_place(conn, values)
        return None
    return Recorded(id=row["id"], revision=row["revision"], replies=row["replies"])


def _stored_media(media: Media | None) -> str | None:
    return None if media is None else json.dumps(media_as_fields(media))


async def _require_place(conn: Connection, values: Mapping[str, object]) -> None:
    """Check that a message that was not stored could have been: then it was on record already."""
    row = await (await conn.execute(_WHY_NOT, values)).fetchone()
    assert row is not None, "the statement always returns one row"
    if not row["owned"]:
        raise _not_owner()
    if not row["found"]:
        raise NotFoundError(f"there is no conversation {values['conversation_id']}")


def _not_owner() -> NotOwnerError:
    return NotOwnerError("this process no longer owns the Telegram account")
