"""The order of a conversation's messages."""

from typing import Final

PLACE: Final = "coalesce(m.after_message_id, m.telegram_message_id)"
"""Where a message ``m`` stands in its conversation; rows of one place follow each other by their own ids. There is an
index for it. Only a message whose id in Telegram nobody knows has an ``after_message_id``."""
