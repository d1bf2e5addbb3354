"""Conversations, reviewers and a desk on a real database, for tests of review and delivery."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from nadia.conversations.batches import Batches, Sealed
from nadia.conversations.messages import Messages, NewMessage
from nadia.conversations.models import BatchState, Conversation
from nadia.conversations.pauses import Pauses
from nadia.conversations.transitions import lock_batch, move
from nadia.delivery.outbox import Outbox
from nadia.postgres.database import Database
from nadia.quarantine.config import QuarantineSettings
from nadia.quarantine.gate import SilenceGate
from nadia.quarantine.service import Quarantine
from nadia.redis.events import LiveEvents
from nadia.review.config import ReviewSettings
from nadia.review.desk import ReviewDesk
from nadia.review.models import ReviewerRef
from nadia.telegram.ownership import Ownership, Ownerships

ACCOUNT = "sandbox"
DISCLOSURE = "Our replies are drafted by an AI assistant and read by a person."

_INSERT_DRAFT = """
INSERT INTO drafts (batch_id, revision, conversation_revision, bubbles, profile, model, score, risk, flags, latency_ms,
                    input_tokens, output_tokens, cost_usd, constitution_version)
SELECT b.id, b.revision, coalesce(%(answers)s, c.revision), %(bubbles)s, 'offline', 'offline', 0.5, 0.25,
       '["promises a date"]', 0, 11, 7, 0.00012, '4.2'
FROM batches b JOIN conversations c ON c.id = b.conversation_id WHERE b.id = %(batch_id)s
"""


class World:
    """What a test arranges before it acts.

    ``told`` says whether customers know already how replies are made; ``wanted_drafts`` are the batches that the desk
    asked drafts for.
    """

    def __init__(
        self, *, database: Database, events: LiveEvents, undo_seconds: float = 0.0, claim_seconds: float = 120.0
    ) -> None:
        self.database = database
        self.events = events
        self.messages = Messages(database=database)
        self.pauses = Pauses(database=database, events=self.events)
        self.outbox = Outbox(undo_seconds=undo_seconds)
        self.batches = Batches(database=database, replies=self.outbox, silences=SilenceGate())
        self.quarantine = Quarantine(
            database=database,
            batches=self.batches,
            replies=self.outbox,
            wants_draft=self._want_draft,
            events=events,
            settings=QuarantineSettings(),
        )
        self.ownerships = Ownerships(database=database, holder="test/1/a", lease_seconds=120, grace_seconds=0)
        self.wanted_drafts: list[int] = []
        self.desk = ReviewDesk(
            database=database,
            events=events,
            outbox=self.outbox,
            settings=ReviewSettings(claim_seconds=claim_seconds),
            disclosure=lambda: DISCLOSURE + "\n",
            wants_draft=self._want_draft,
        )
        self.ownership: Ownership
        self._message_ids = itertools.count(1)
        self._chat_ids = itertools.count(1001)

    async def open(self) -> None:
        await self.ownerships.register(ACCOUNT, "sandbox")
        await self.own()

    async def own(self) -> Ownership:
        """Take the account over, from whoever had it."""
        await self.execute("UPDATE telegram_accounts SET holder = NULL, expires_at = NULL")
        ownership = await self.ownerships.acquire(ACCOUNT)
        assert ownership is not None
        self.ownership = ownership
        return ownership

    async def reviewer(self, name: str = "Jonas") -> ReviewerRef:
        rows = await self.execute("INSERT INTO accounts (name, role) VALUES (%s, 'reviewer') RETURNING id", name)
        return ReviewerRef(id=rows[0]["id"], name=name)

    async def customer(self, name: str = "Mina", *, chat_id: int | None = None, told: bool = True) -> Conversation:
        chat = next(self._chat_ids) if chat_id is None else chat_id
        conversation = await self.messages.ensure_conversation(
            network="sandbox",
            account_id=ACCOUNT,
            chat_id=chat,
            user_id=chat,
            name=name,
            username=None,
            fencing_token=self.ownership.fencing_token,
        )
        if told:
            await self.execute("UPDATE conversations SET disclosed_at = now() WHERE id = %s", conversation.id)
        return conversation

    async def says(self, conversation: Conversation, text: str, *, message_id: int | None = None) -> int:
        """The customer writes; returns Telegram's id of the message."""
        number = next(self._message_ids) if message_id is None else message_id
        message = NewMessage(
            telegram_message_id=number,
            direction="in",
            author="customer",
            kind="text",
            text=text,
            reply_to=None,
            sent_at=datetime.now(UTC),
        )
        await self.messages.record(conversation, message, fencing_token=self.ownership.fencing_token)
        return number

    async def sealed(self, conversation: Conversation, *texts: str, priority: int = 0) -> int:
        """A batch of these messages, which waits for its draft."""
        for text in texts or ("How much is shipping?",):
            await self.says(conversation, text)
        sealed = await self.batches.seal(conversation.id, priority=priority)
        assert isinstance(sealed, Sealed)
        return sealed.batch.id

    async def add_draft(self, batch_id: int, bubbles: Sequence[str], *, answers: int | None = None) -> None:
        await self.execute(_INSERT_DRAFT, batch_id=batch_id, bubbles=list(bubbles), answers=answers)
        async with self.database.transaction() as conn:
            await move(conn, await lock_batch(conn, batch_id), BatchState.DRAFTED, actor="system")

    async def drafted(
        self, conversation: Conversation, *, bubbles: Sequence[str] = ("Four euros.", "Anything else?")
    ) -> int:
        batch_id = await self.sealed(conversation)
        await self.add_draft(batch_id, bubbles)
        return batch_id

    async def approved(self, conversation: Conversation, who: ReviewerRef, *bubbles: str) -> int:
        """A batch whose reply was approved as given; disclosed first where it has to be."""
        batch_id = await self.sealed(conversation)
        await self.approve(batch_id, who, *bubbles)
        return batch_id

    async def approve(self, batch_id: int, who: ReviewerRef, *bubbles: str) -> None:
        seen = await self.desk.item(batch_id)
        await self.desk.approve(
            batch_id,
            who,
            bubbles=bubbles,
            seen_revision=seen.conversation_revision,
            seen_draft=seen.draft.id if seen.draft else None,
            confirm_newer=True,
        )

    async def draft_of(self, batch_id: int) -> int | None:
        draft = (await self.desk.item(batch_id)).draft
        return draft.id if draft else None

    async def revision(self, conversation: Conversation) -> int:
        rows = await self.execute("SELECT revision FROM conversations WHERE id = %s", conversation.id)
        return int(rows[0]["revision"])

    async def state(self, batch_id: int) -> str:
        return str((await self.execute("SELECT state FROM batches WHERE id = %s", batch_id))[0]["state"])

    async def outbox_rows(self, batch_id: int) -> list[dict[str, Any]]:
        return await self.execute("SELECT * FROM outbox WHERE batch_id = %s ORDER BY id", batch_id)

    async def replies(self, conversation: Conversation) -> list[str]:
        """Texts of the desk's messages on record, in the order of Telegram's ids."""
        rows = await self.execute(
            "SELECT text FROM messages WHERE conversation_id = %s AND author = 'desk' ORDER BY telegram_message_id",
            conversation.id,
        )
        return [row["text"] for row in rows]

    async def notices(self) -> list[str]:
        return [row["topic"] for row in await self.execute("SELECT topic FROM notices WHERE NOT resolves ORDER BY id")]

    async def audit(self, batch_id: int) -> list[tuple[str, str]]:
        """Action and the state after, or nothing, of what happened to a batch."""
        rows = await self.execute("SELECT * FROM audit_log WHERE subject = %s ORDER BY id", f"batch:{batch_id}")
        return [(row["action"], (row["after"] or {}).get("state", "")) for row in rows]

    async def execute(self, statement: str, *values: object, **named: object) -> list[dict[str, Any]]:
        """Run a statement of the test's own."""
        async with self.database.connection() as conn:
            cursor = await conn.execute(statement.encode(), named or values)
            return await cursor.fetchall() if cursor.description else []

    async def _want_draft(self, batch_id: int) -> None:
        self.wanted_drafts.append(batch_id)
