"""Figures of the process itself."""

from nadia.metrics import counter, gauge, histogram, info

RESTARTS = counter("nadia_app_part_restarts_total", "Parts of the process that failed and were begun again.", ("part",))
OWNED = gauge("nadia_app_account_owned", "Whether this process acts for the Telegram account, 1 or 0.", ("account",))
INFO = info("nadia_app_info", "The process: its version and what it does; always 1.", ("version", "role"))
STARTED = gauge("nadia_app_started_timestamp_seconds", "When the process began its work, seconds since 1970.")
LINKED = gauge("nadia_app_account_linked", "Whether the account's connection to Telegram stands, 1 or 0.", ("account",))
LOOP_LAG_SECONDS = histogram(
    "nadia_app_loop_lag_seconds",
    "How late the process's event loop got to what was due: how long something held it up, seconds.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
