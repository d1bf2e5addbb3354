"""Figures of the process itself."""

from nadia.metrics import counter, gauge

RESTARTS = counter("nadia_app_part_restarts_total", "Parts of the process that failed and were begun again.", ("part",))
OWNED = gauge("nadia_app_account_owned", "Whether this process acts for the Telegram account, 1 or 0.", ("account",))
