"""Every alert leads to a section that says what to do."""

import re
from pathlib import Path

import pytest

from nadia.alerting.documents import SECTIONS, UNKNOWN, section
from nadia.daemon.job import jobs_of
from nadia.notices import EVENTS
from nadia.settings.daemon import DaemonSettings

ROOT = Path(__file__).resolve().parents[3]
_TOPIC = re.compile(
    r'(?:topic=|[A-Z_]+: Final = )"((?:batch|clock|daemon|health|quarantine|recovery|telegram|update)\.[a-z_]+)"'
)


def topics_of(folder: Path) -> set[str]:
    """Topics of the modules that write notices."""
    texts = [path.read_text(encoding="utf-8") for path in folder.rglob("*.py")]
    return {topic for text in texts if "notices import" in text for topic in _TOPIC.findall(text)}


def test_every_topic_has_a_section() -> None:
    assert topics_of(ROOT / "src") == set(SECTIONS)
    assert set(SECTIONS) >= EVENTS


def headings(path: Path) -> set[str]:
    found = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


def leads(target: str) -> bool:
    path, _, name = target.partition("#")
    return (ROOT / path).is_file() and (not name or name in headings(ROOT / path))


@pytest.mark.parametrize("topic", sorted(SECTIONS))
def test_every_section_exists(topic: str) -> None:
    labels = {"probe": "redis-memory", "job": "db-stats"}
    assert leads(section(topic, labels)), section(topic, labels)
    assert leads(section(topic)), "also where a label is missing"


def test_every_scheduled_job_that_may_find_something_critical_has_its_section() -> None:
    for job in jobs_of(DaemonSettings()):
        assert leads(section("daemon.answer_critical", {"job": job.name})), job.name


def test_what_a_later_version_tells_leads_to_what_an_alert_is() -> None:
    assert section("backup.missing") == UNKNOWN
    assert leads(UNKNOWN)
