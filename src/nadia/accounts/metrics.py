"""What accounts count."""

from nadia import metrics

logins = metrics.counter(
    "nadia_accounts_logins_total",
    "Attempts to log in, by outcome.",
    {"outcome": ("success", "refused", "second_factor_required", "throttled", "link", "link_refused")},
)
