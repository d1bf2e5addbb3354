"""The outbox as review and pacing use it: fill it, take back from it, settle what is in doubt.

Everything happens in the caller's transaction, under the conversation's lock.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime

from nadia.conversations import audit
from nadia.conversations.models import BatchState, Conversation
from nadia.conversations.sent_messages import OutgoingMessage, identify_sent, not_known_as_replies, record_sent
from nadia.conversations.transitions import LockedBatch, move
from nadia.delivery import store
from nadia.delivery.history import as_telegram_keeps
from nadia.delivery.models import Bubble, BubbleState
from nadia.errors import ConflictError
from nadia.postgres.database import Connection


def new_random_id() -> int:
    """Return a signed 64-bit number other than zero that nobody can guess."""
    while True:
        number = int.from_bytes(secrets.token_bytes(8), "big", signed=True)
        if number:
            return number


class Outbox:
    """Replies on their way to delivery.

    Parameters
    ----------
    undo_seconds : float
        How long a reply waits before it leaves.
    make_random_id : callable
        Makes the number by which Telegram knows a message again.
    """

    def __init__(self, *, undo_seconds: float, make_random_id: Callable[[], int] = new_random_id) -> None:
        self._undo_seconds = undo_seconds
        self._make_random_id = make_random_id

    async def enqueue(
        self,
        conn: Connection,
        locked: LockedBatch,
        *,
        decision_id: int,
        bubbles: Sequence[str],
        answers_revision: int,
        discloses: bool,
    ) -> datetime:
        """Queue an approved reply.

        Parameters
        ----------
        conn : Connection
            The approving transaction.
        locked : LockedBatch
            The batch that it answers.
        decision_id : int
            The approval.
        bubbles : sequence of str
            What was approved.
        answers_revision : int
            The conversation's revision that the reviewer has seen; a newer one at sending means stale.
        discloses : bool
            Whether the first bubble tells how replies are made.

        Returns
        -------
        datetime
            When it leaves, by the database's clock.
        """
        send_after = await store.moment(conn, self._undo_seconds)
        await store.add(
            conn,
            [
                store.NewBubble(
                    decision_id=decision_id,
                    batch_id=locked.batch.id,
                    conversation_id=locked.conversation.id,
                    account_id=locked.conversation.telegram_account_id,
                    position=position,
                    text=text,
                    random_id=self._make_random_id(),
                    conversation_revision=answers_revision,
                    discloses=discloses and position == 0,
                    send_after=send_after,
                )
                for position, text in enumerate(bubbles)
            ],
        )
        return send_after

    async def recall(self, conn: Connection, batch_id: int) -> None:
        """Cancel the batch's queued bubbles within the caller's transaction."""
        await store.cancel(conn, batch_id, BubbleState.QUEUED)

    async def is_leaving(self, conn: Connection, batch_id: int) -> bool:
        """Tell whether a bubble of the batch is just being sent, or nobody knows yet whether it was."""
        return await store.is_leaving(conn, batch_id)

    async def is_own(
        self, conn: Connection, conversation: Conversation, *, telegram_message_id: int, text: str
    ) -> bool:
        """Tell whether a message of the account may be a reply whose sending has begun and is not on record as ended.

        A reply that is on record only on a person's word gets its id in Telegram here.
        """
        wanted = as_telegram_keeps(text)
        bubbles = await store.unaccounted(conn, conversation.id, telegram_message_id=telegram_message_id)
        alike = [bubble for bubble in bubbles if as_telegram_keeps(bubble.text) == wanted]
        if alike and all(bubble.vouched for bubble in alike):
            (bubble, *_) = alike
            if await identify_sent(conn, conversation, known_as=-bubble.id, telegram_message_id=telegram_message_id):
                await store.identify(conn, bubble.id, telegram_message_id=telegram_message_id)
        return bool(alike)

    async def can_be_taken_back(self, conn: Connection, batch_id: int) -> bool:
        """Tell whether nothing of the reply has begun to leave and its undo window is open."""
        return await store.can_be_taken_back(conn, batch_id)

    async def is_disclosing(self, conn: Connection, conversation_id: int) -> bool:
        """Tell whether the customer is just being told how replies are made."""
        return await store.is_disclosing(conn, conversation_id)

    async def drop(self, conn: Connection, batch_id: int) -> None:
        """Cancel what is queued or in doubt: nothing more of this reply leaves."""
        await store.cancel(conn, batch_id, BubbleState.QUEUED, BubbleState.PARKED)

    async def in_doubt(self, conn: Connection, locked: LockedBatch) -> tuple[Bubble, list[str]]:
        """Return the bubble that a person has to decide about, and the texts that were to follow it.

        Raises
        ------
        ConflictError
            If no bubble of the batch is in doubt.
        """
        bubble = await store.parked_bubble(conn, locked.batch.id)
        if bubble is None:
            raise ConflictError(
                f"no message of item {locked.batch.id} is in doubt", hint="look at it again, and resume or reject it"
            )
        return bubble, [text for _, _, text in await store.unsent_texts(conn, locked.batch.id)]

    async def was_sent(self, conn: Connection, locked: LockedBatch, *, actor: str) -> LockedBatch:
        """Take a person's word that the bubble in doubt reached the customer; the rest of the reply goes on.

        Raises
        ------
        ConflictError
            If no bubble of the batch is in doubt.
        """
        bubble, rest = await self.in_doubt(conn, locked)
        shown = await _shown_by_telegram(conn, locked, bubble)
        if shown is not None:
            number, sent_at = shown.telegram_message_id, shown.sent_at
        else:  # Telegram's own ids are positive, so this one cannot be taken for another message
            number, sent_at = -bubble.id, bubble.sending_since or await store.moment(conn, 0)
        await store.mark_sent(conn, bubble.id, telegram_message_id=number, sent_at=sent_at)
        await put_on_record(
            conn, locked, bubble, telegram_message_id=number, sent_at=sent_at, actor=actor, by="word of a person"
        )
        going_on = await move(conn, locked, BatchState.SENDING, actor=actor, reason="a person says that it was sent")
        return going_on if rest else await move(conn, going_on, BatchState.SENT, actor=actor)


async def _shown_by_telegram(conn: Connection, locked: LockedBatch, bubble: Bubble) -> OutgoingMessage | None:
    """Return the message on record that a bubble in doubt is: Telegram showed it, and nobody knew what it was."""
    if bubble.after_message_id is None:
        return None
    wanted = as_telegram_keeps(bubble.text)
    since = await not_known_as_replies(conn, locked.conversation, after_message_id=bubble.after_message_id)
    return next((message for message in since if as_telegram_keeps(message.text) == wanted), None)


async def put_on_record(
    conn: Connection,
    locked: LockedBatch,
    bubble: Bubble,
    *,
    telegram_message_id: int,
    sent_at: datetime,
    actor: str,
    by: str,
) -> None:
    """Make a sent bubble part of its conversation, with the audit row and what follows for the customer."""
    await record_sent(
        conn,
        conversation=locked.conversation,
        telegram_message_id=telegram_message_id,
        text=bubble.text,
        sent_at=sent_at,
        batch_id=bubble.batch_id,
        after_message_id=bubble.after_message_id,
    )
    if bubble.discloses:
        await store.mark_disclosed(conn, locked.conversation.id)
    await audit.record(
        conn,
        actor=actor,
        action="reply.bubble_sent",
        subject=f"batch:{bubble.batch_id}",
        after={"bubble": bubble.id, "position": bubble.position, "message": telegram_message_id, "known_by": by},
    )
