"""What the page about metrics names is there, and whatever is there has a group on it."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/operations/metrics-and-traces.md").read_text()


def exported() -> set[str]:
    rows = (ROOT / "docs/reference/metrics.md").read_text().splitlines()  # generated, and current by another test
    return {match[1] for row in rows if (match := re.match(r"\| `(nadia_\w+)`", row))}


def test_every_metric_that_the_page_names_is_exported() -> None:
    named = set(re.findall(r"`(nadia_[a-z0-9_]+)`", PAGE))
    assert len(named) > 30
    assert named - exported() == set()


def test_every_domain_that_exports_metrics_has_a_place_on_the_page() -> None:
    domains = {name.split("_")[1] for name in exported()}
    named = {name.split("_")[1] for name in re.findall(r"`(nadia_[a-z0-9_]+)", PAGE)}
    assert domains - named == set()
