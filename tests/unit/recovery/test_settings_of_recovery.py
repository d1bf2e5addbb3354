"""Settings of recovery: tiers by age, and everything that is wrong with them said at once."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nadia.recovery.config import RecoveryConfig, RecoveryTier
from nadia.settings import Config
from nadia.settings.errors import SettingsError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "tier"),
    [
        (-5, RecoveryTier.TIER_1),
        (0, RecoveryTier.TIER_1),
        (1.99, RecoveryTier.TIER_1),
        (2, RecoveryTier.TIER_2),
        (11.99, RecoveryTier.TIER_2),
        (12, RecoveryTier.TIER_3),
        (100_000, RecoveryTier.TIER_3),
    ],
)
def test_the_tier_goes_by_the_age_of_the_newest_message(hours: float, tier: RecoveryTier) -> None:
    assert RecoveryConfig().tier_of(NOW - timedelta(hours=hours), now=NOW) is tier


@given(st.floats(0, 10_000), st.floats(0, 10_000))
def test_an_older_message_is_never_more_urgent(one: float, other: float) -> None:
    config = RecoveryConfig()
    younger, older = sorted((one, other))
    assert config.tier_of(NOW - timedelta(hours=younger), now=NOW) <= config.tier_of(
        NOW - timedelta(hours=older), now=NOW
    )


def test_each_tier_has_its_own_pace_and_the_urgent_one_the_quickest() -> None:
    paces = [RecoveryConfig().pace(tier) for tier in RecoveryTier]
    assert [pace.concurrency for pace in paces] == sorted((pace.concurrency for pace in paces), reverse=True)
    assert [pace.delay_seconds for pace in paces] == sorted(pace.delay_seconds for pace in paces)


def test_everything_that_is_wrong_is_said_at_once_also_rules_between_fields() -> None:
    with pytest.raises(ValidationError) as caught:
        RecoveryConfig.model_validate(
            {"tier_1_batch_size": 0, "tier_3_delay_seconds": -1, "tier_2_hours": 100, "tier_1_concurrency": "many"}
        )
    wrong = {str(error["loc"][0]) for error in caught.value.errors()}
    assert wrong == {"tier_1_batch_size", "tier_3_delay_seconds", "tier_2_hours", "tier_1_concurrency"}


@pytest.mark.parametrize(
    "given_values", [{"tier_1_hours": 12}, {"tier_2_hours": 2}, {"maximum_age_hours": 12}, {"tier_1_hours": 13}]
)
def test_bounds_have_to_ascend(given_values: dict[str, float]) -> None:
    with pytest.raises(ValidationError) as caught:
        RecoveryConfig.model_validate(given_values)
    assert [error["loc"] for error in caught.value.errors()] == [(name,) for name in given_values]


def test_the_environment_sets_everything_and_problems_name_the_variables() -> None:
    config = Config.from_env({"NADIA_HOME": "/tmp/x", "NADIA_RECOVERY_TIER_1_HOURS": "1"}, dotenv=None)
    assert config.recovery.tier_1_hours == 1.0
    with pytest.raises(SettingsError) as caught:
        Config.from_env(
            {
                "NADIA_HOME": "/tmp/x",
                "NADIA_RECOVERY_TIER_1_HOURS": "20",
                "NADIA_RECOVERY_TIER_2_BATCH_SIZE": "none",
                "NADIA_RECOVERY_MAXIMUM_AGE_HOURS": "-3",
            },
            dotenv=None,
        )
    assert {problem.name for problem in caught.value.problems} == {
        "NADIA_RECOVERY_TIER_1_HOURS",
        "NADIA_RECOVERY_TIER_2_BATCH_SIZE",
        "NADIA_RECOVERY_MAXIMUM_AGE_HOURS",
    }
