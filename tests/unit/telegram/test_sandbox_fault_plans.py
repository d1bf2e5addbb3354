"""Chances are seeded, forced faults strike exactly where and as often as told."""

import pytest
from pydantic import ValidationError

from nadia.telegram.sandbox.faults import FaultKind, FaultPlan, Faults, ForcedFault


def strikes(faults: Faults, kind: FaultKind, method: str, occasions: int) -> list[bool]:
    return [faults.strike(kind, method) for _ in range(occasions)]


def test_the_same_seed_makes_the_same_faults_and_another_seed_others() -> None:
    plan = FaultPlan(seed=1, drop_answer=0.5)
    first = strikes(Faults(plan), FaultKind.DROP_ANSWER, "account.send", 64)

    assert strikes(Faults(plan), FaultKind.DROP_ANSWER, "account.send", 64) == first
    assert strikes(Faults(FaultPlan(seed=2, drop_answer=0.5)), FaultKind.DROP_ANSWER, "account.send", 64) != first
    assert 15 < sum(first) < 49


def test_following_a_plan_again_starts_its_chances_over() -> None:
    plan = FaultPlan(seed=1, disconnect=0.5)
    faults = Faults(plan)
    first = strikes(faults, FaultKind.DISCONNECT, "account.history", 64)
    faults.follow(plan)

    assert strikes(faults, FaultKind.DISCONNECT, "account.history", 64) == first


@pytest.mark.parametrize("kind", FaultKind)
def test_without_a_plan_nothing_fails_and_a_rate_of_one_always_does(kind: FaultKind) -> None:
    method = {FaultKind.REFUSE_CONNECTION: "account.login", FaultKind.DUPLICATE_UPDATE: "account.difference"}.get(
        kind, "account.send"
    )

    assert strikes(Faults(), kind, method, 20) == [False] * 20
    assert strikes(Faults(FaultPlan.model_validate({kind.value: 1.0})), kind, method, 20) == [True] * 20


def test_a_kind_strikes_only_where_it_makes_sense() -> None:
    faults = Faults(FaultPlan(drop_answer=1.0, flood_wait=1.0))

    assert not faults.strike(FaultKind.DROP_ANSWER, "account.history")
    assert faults.strike_seconds(FaultKind.FLOOD_WAIT, "account.typing") is None
    assert faults.strike_seconds(FaultKind.FLOOD_WAIT, "account.send") == 5


def test_a_forced_fault_strikes_as_often_as_told_then_no_more() -> None:
    faults = Faults()
    faults.force(ForcedFault(kind=FaultKind.FLOOD_WAIT, method="account.typing", times=2, seconds=3))

    assert faults.strike_seconds(FaultKind.FLOOD_WAIT, "account.send") is None
    assert [faults.strike_seconds(FaultKind.FLOOD_WAIT, "account.typing") for _ in range(3)] == [3, 3, None]


def test_following_a_plan_forgets_forced_faults() -> None:
    faults = Faults()
    faults.force(ForcedFault(kind=FaultKind.DROP_ANSWER))
    faults.follow(FaultPlan())

    assert not faults.strike(FaultKind.DROP_ANSWER, "account.send")


@pytest.mark.parametrize("rate", [-0.1, 1.1, "often"])
def test_a_rate_is_a_share(rate: object) -> None:
    with pytest.raises(ValidationError):
        FaultPlan.model_validate({"drop_answer": rate})
