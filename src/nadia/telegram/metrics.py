"""Figures of the Telegram side."""

from nadia.metrics import counter, gauge

ENTITY_LOOKUPS = counter(
    "nadia_telegram_entity_lookups_total",
    "Peers asked for, by where the answer came from; shared: from a look-up that was under way already.",
    {"result": ("memory", "store", "telegram", "dialogs", "shared", "miss", "failed")},
)
ENTITIES_IN_MEMORY = gauge(
    "nadia_telegram_entities_in_memory", "Peers that this process holds in memory.", ("account",)
)
REQUEST_RATE = gauge(
    "nadia_telegram_request_rate", "Requests per second that history reading may make at present.", ("account",)
)
REQUESTS = counter("nadia_telegram_history_requests_total", "Requests for histories and lists of dialogs.")
REQUEST_WAIT_SECONDS = counter(
    "nadia_telegram_history_wait_seconds_total", "Seconds that these requests waited for their turn."
)
FLOOD_WAITS = counter("nadia_telegram_history_flood_waits_total", "Times that Telegram asked these requests to pause.")
