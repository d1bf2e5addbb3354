"""Which section of the documents says what to do about an alert."""

from collections.abc import Mapping
from typing import Final

UNKNOWN: Final = "docs/operations/alerts.md#alerts-inside-nadia"
"""Of what a later version told, or a plug-in: what an alert is at all."""

SECTIONS: Final[Mapping[str, str]] = {
    "batch.expired": "docs/operations/alerts.md#a-conversation-expired",
    "batch.parked": "docs/operations/alerts.md#a-conversation-is-parked",
    "clock.skewed": "docs/operations/health.md#clock-skew",
    "daemon.answer_critical": "docs/guides/workflows.md#{job}",
    "daemon.job_failing": "docs/operations/daemon.md#when-it-is-red",
    "health.not_healthy": "docs/operations/health.md#{probe}",
    "quarantine.expired": "docs/operations/quarantine.md#what-nobody-decides-about",
    "recovery.chat_unreadable": "docs/operations/after-downtime.md#when-it-does-not-end-well",
    "recovery.gap_unreadable": "docs/operations/after-downtime.md#when-it-does-not-end-well",
    "recovery.stopped": "docs/operations/after-downtime.md#when-it-does-not-end-well",
    "telegram.account_limited": "docs/guides/telegram.md#when-something-is-wrong",
    "telegram.account_revoked": "docs/guides/telegram.md#when-something-is-wrong",
    "telegram.session_unreadable": "docs/guides/telegram.md#when-something-is-wrong",
    "update.parked": "docs/operations/alerts.md#an-update-is-parked",
}
"""Topic to section, from the project's root; a label in braces names it further."""


def section(topic: str, labels: Mapping[str, str] | None = None) -> str:
    """Return the section for an alert's topic and labels, as ``docs/operations/health.md#redis-memory``.

    Where a label is needed and missing, the document's beginning is returned.
    """
    found = SECTIONS.get(topic, UNKNOWN)
    try:
        return found.format_map(labels or {})
    except KeyError:
        return found.partition("#")[0]
