"""Numbers that more than one domain shares (baseline 2.2)."""

from typing import Final

MINUTE_IN_SECONDS: Final = 60
HOUR_IN_SECONDS: Final = 3_600
DAY_IN_SECONDS: Final = 86_400
WEEK_IN_SECONDS: Final = 604_800
MONTH_IN_SECONDS: Final = 2_592_000
"""Thirty days (baseline 2.2)."""

CONSTITUTION_VERSION: Final = "4.2"
"""Version of the rules that a draft was written under; stored with each draft (baseline 2.2)."""

MAX_HISTORY_LENGTH: Final = 50
"""Messages of a conversation that memory keeps (baseline 2.2)."""

MEMORY_TTL_SECONDS: Final = WEEK_IN_SECONDS
"""How long an untouched conversation stays in Redis."""

TYPING_DEBOUNCE_DELAY: Final = 60
"""Longest a burst may be held back, seconds (baseline 2.2, as DESIGN section 8 reads it)."""

TYPING_SIGNAL_SECONDS: Final = 6
"""How long Telegram shows a typing signal (Telegram API, sendMessageTypingAction)."""

PARTITIONS: Final = 64
"""Conversations are spread over this many Redis slots; fixed for the life of an installation."""

TELEGRAM_TEXT_LIMIT: Final = 4096
"""Longest text of one message, in UTF-16 code units (Telegram API, messages.sendMessage)."""
