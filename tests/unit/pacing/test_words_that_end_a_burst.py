"""Flush words: whole words, in any case and script, as configured."""

from collections.abc import Callable

import pytest

from nadia.conversations.batches import Batches
from nadia.conversations.wal import WalStream
from nadia.pacing.bursts import Bursts
from nadia.pacing.config import PacingSettings
from nadia.pacing.tracker import UserActivityTracker
from nadia.postgres.database import Database
from nadia.quarantine.gate import SilenceGate
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.redis.source import RedisSource
from support.core import Recalls


@pytest.fixture
def tracker_for() -> Callable[..., UserActivityTracker]:
    def make(*words: str) -> UserActivityTracker:
        settings = PacingSettings(flush_words=words) if words else PacingSettings()
        redis = RedisConnection(RedisSource(url="unix:///nonexistent/redis.sock"))
        database = Database(dsn="postgresql:///nonexistent")
        return UserActivityTracker(
            bursts=Bursts(redis=redis, settings=settings),
            batches=Batches(database=database, replies=Recalls(), silences=SilenceGate()),
            wal=WalStream(redis=redis, consumer="one", lease_seconds=1),
            events=LiveEvents(redis=redis),
            settings=settings,
        )

    return make


@pytest.mark.parametrize(
    "text", ["stop", "STOP!", "please, stop.", "it is Urgent", "\nurgent\n", "(stop)", "stop-it", "«stop»"]
)
def test_the_shipped_words_end_a_burst(tracker_for: Callable[..., UserActivityTracker], text: str) -> None:
    assert tracker_for().is_urgent(text)


@pytest.mark.parametrize("text", ["", "stopp", "nonstop", "urgently", "st op", "bus_stop", "stop2", "ustop"])
def test_parts_of_words_do_not(tracker_for: Callable[..., UserActivityTracker], text: str) -> None:
    assert not tracker_for().is_urgent(text)


@pytest.mark.parametrize(
    ("word", "text", "ends"),
    [
        ("стоп", "Ну СТОП же", True),
        ("стоп", "стопка", False),
        ("停止", "停止 吧", True),
        ("ÉTÉ", "en été", True),
        ("c++", "I use C++.", True),
        ("a.b", "axb", False),
        ("call me", "please call me back", True),
        ("🚨", "help 🚨", True),
        (" stop ", "stop", True),
    ],
)
def test_configured_words_are_taken_literally_in_any_script(
    tracker_for: Callable[..., UserActivityTracker], word: str, text: str, ends: bool
) -> None:
    assert tracker_for(word).is_urgent(text) is ends


def test_no_words_end_no_burst(tracker_for: Callable[..., UserActivityTracker]) -> None:
    assert not tracker_for("", "  ").is_urgent("stop")
