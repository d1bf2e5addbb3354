"""Conversations: people, their messages, the batches these form, and what each may turn into."""

from nadia.conversations.batches import Batches, Sealed, SealPostponed
from nadia.conversations.memory import ConversationMemory, Remembered
from nadia.conversations.models import OPEN_STATES, Batch, BatchState, Conversation
from nadia.conversations.transitions import LockedBatch, TransitionError, lock_batch, move
from nadia.conversations.wal import WalEntry, WalStream

__all__ = [
    "OPEN_STATES",
    "Batch",
    "BatchState",
    "Batches",
    "Conversation",
    "ConversationMemory",
    "LockedBatch",
    "Remembered",
    "SealPostponed",
    "Sealed",
    "TransitionError",
    "WalEntry",
    "WalStream",
    "lock_batch",
    "move",
]
