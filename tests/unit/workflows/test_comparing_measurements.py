"""Whether two measurements differ: noise alone names no difference, a real one is found."""

import random
from collections.abc import Callable
from statistics import median

import pytest

from nadia.workflows.performance.comparison import (
    LEAST_COUNTED,
    LEAST_VALUES,
    Verdict,
    compare,
    middle,
    rank_test,
)
from nadia.workflows.performance.figures import FIGURES, Counted, Measured, Samples
from nadia.workflows.performance.measuring import ROUNDS, Sampler, measure

Noise = Callable[[random.Random], float]

NOISES: dict[str, Noise] = {
    "even": lambda chance: chance.gauss(1, 0.05),
    "as on a shared machine": lambda chance: chance.lognormvariate(0, 0.12),
    "with spikes": lambda chance: chance.gauss(1, 0.05) * (3 if chance.random() < 0.1 else 1),
    "in two modes": lambda chance: chance.choice((1.0, 1.1)) * chance.gauss(1, 0.03),
    "coarse": lambda chance: round(chance.gauss(1, 0.05), 1),
}
FIGURES_AT_ONCE = 8
RUNS = 300


def samples(noise: Noise, chance: random.Random, *, times: float = 1.0) -> Samples:
    return Samples(values=[max(1e-6, noise(chance)) * 0.002 * times for _ in range(ROUNDS)])


def verdicts(before: dict[str, Measured], after: dict[str, Measured]) -> list[Verdict]:
    return [one.verdict for one in compare(before, after, same_machine=True).values()]


@pytest.mark.parametrize("kind", NOISES)
def test_two_equal_measurements_are_the_same_in_95_of_100_runs_over_all_their_figures(kind: str) -> None:
    chance, alike = random.Random(4), 0
    for _ in range(RUNS):
        before, after = (
            {str(number): samples(NOISES[kind], chance) for number in range(FIGURES_AT_ONCE)} for _ in range(2)
        )
        alike += set(verdicts(dict(before), dict(after))) == {Verdict.SAME}
    assert alike / RUNS >= 0.95


@pytest.mark.parametrize("kind", NOISES)
def test_what_became_slower_by_30_percent_is_found_among_others_that_did_not(kind: str) -> None:
    chance, worse, others = random.Random(5), 0, 0
    for _ in range(RUNS):
        before: dict[str, Measured] = {str(number): samples(NOISES[kind], chance) for number in range(FIGURES_AT_ONCE)}
        after: dict[str, Measured] = {str(number): samples(NOISES[kind], chance) for number in range(FIGURES_AT_ONCE)}
        after["0"] = samples(NOISES[kind], chance, times=1.3)
        found = verdicts(before, after)
        worse += found[0] is Verdict.WORSE
        others += found[1:] != [Verdict.SAME] * (FIGURES_AT_ONCE - 1)
    assert worse / RUNS >= 0.9
    assert others / RUNS <= 0.05


def test_what_became_faster_by_as_much_is_better() -> None:
    chance = random.Random(6)
    before, after = (samples(NOISES["even"], chance, times=times) for times in (1.3, 1.0))
    assert verdicts({"x": before}, {"x": after}) == [Verdict.BETTER]


def test_a_difference_that_nobody_would_notice_is_none_however_sure_it_is() -> None:
    before, after = (Samples(values=[seconds + 1e-9 * number for number in range(200)]) for seconds in (1.0, 1.1))
    assert rank_test({1.0: 200}, {1.1: 200}) < 1e-9
    assert verdicts({"x": before}, {"x": after}) == [Verdict.SAME]


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (None, Samples(values=[1.0] * 12), "was not measured then"),
        (Samples(values=[1.0] * 12), None, "was not measured now"),
        (Samples(values=[1.0] * (LEAST_VALUES - 1)), Samples(values=[9.0] * 12), "only 5 then; 6 are needed"),
        (Samples(values=[]), Samples(values=[]), "only 0 then; 6 are needed"),
        (Samples(values=[1.0] * 12), Counted(counts={1.0: 99}), "is measured in another way now"),
        (Counted(counts={1.0: 99}), Counted(counts={1.0: LEAST_COUNTED - 1}), "only 29 now; 30 are needed"),
    ],
)
def test_what_cannot_be_compared_says_why(before: Measured | None, after: Measured | None, why: str) -> None:
    (one,) = compare(
        {} if before is None else {"x": before}, {} if after is None else {"x": after}, same_machine=True
    ).values()
    assert (one.verdict, one.why) == (Verdict.NOT_COMPARABLE, why)


def test_on_another_machine_the_change_is_told_and_no_verdict_given() -> None:
    before, after = Samples(values=[1.0] * 12), Samples(values=[2.0] * 12)
    (one,) = compare({"x": before}, {"x": after}, same_machine=False).values()
    assert (one.verdict, one.change, one.why) == (Verdict.NOT_COMPARABLE, 1.0, "the machine is another one")


def test_nothing_was_measured_as_taking_no_time() -> None:
    zero = Samples(values=[0.0] * 12)
    assert verdicts({"x": zero}, {"x": zero}) == [Verdict.NOT_COMPARABLE]


def test_counts_in_buckets_are_compared_by_their_order_too() -> None:
    inf = float("inf")
    before = Counted(counts={0.01: 400, 0.025: 80, 0.1: 20, inf: 0})
    alike = Counted(counts={0.01: 390, 0.025: 86, 0.1: 24, inf: 0})
    slower = Counted(counts={0.01: 40, 0.025: 300, 0.1: 150, inf: 10})
    assert verdicts({"x": before}, {"x": alike}) == [Verdict.SAME]
    assert verdicts({"x": before}, {"x": slower}) == [Verdict.WORSE]
    assert verdicts({"x": slower}, {"x": before}) == [Verdict.BETTER]


def test_the_median_of_counts_is_found_within_its_bucket() -> None:
    assert middle(Counted(counts={0.1: 10, 0.2: 10})) == pytest.approx(0.1)
    assert middle(Counted(counts={0.1: 0, 0.2: 10})) == pytest.approx(0.15)
    assert middle(Counted(counts={0.1: 1, float("inf"): 9})) == 0.1
    assert middle(Counted(counts={})) is None
    assert middle(Samples(values=[])) is None


def test_figures_survive_their_way_through_json() -> None:
    figures: dict[str, Measured] = {
        "a": Samples(values=[0.001, 0.002]),
        "b": Counted(counts={0.1: 3.0, float("inf"): 1.0}),
    }
    assert FIGURES.validate_json(FIGURES.dump_json(figures)) == figures


def test_the_rank_test_agrees_with_known_values() -> None:
    # Complete separation of 5 and 5: U = 0, z = (12.5 - 0.5) / sqrt(25 * 11 / 12) = 2.5067.
    assert rank_test(dict.fromkeys(range(5), 1.0), dict.fromkeys(range(5, 10), 1.0)) == pytest.approx(0.01219, abs=1e-5)
    assert rank_test({1.0: 7}, {1.0: 9}) == 1.0
    assert rank_test({}, {1.0: 9}) == 1.0
    assert rank_test({1.0: 5, 2.0: 5}, {1.0: 5, 2.0: 5}) == 1.0


class Stopwatch:
    """Time that goes on only when something is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_each_round_takes_some_of_everything_and_the_first_only_warms_up() -> None:
    stopwatch, order = Stopwatch(), []

    def taking(name: str, *durations: float) -> Callable[[], object]:
        each = iter(durations * 100)

        async def take() -> None:
            order.append(name)
            stopwatch.now += next(each)

        return take

    figures, failures = await measure(
        [
            Sampler(name="a", each_round=3, take=taking("a", 9.0, 1.0, 2.0)),  # type: ignore[arg-type]
            Sampler(name="b", each_round=1, take=taking("b", 5.0)),  # type: ignore[arg-type]
        ],
        rounds=2,
        stopwatch=stopwatch,
    )
    assert "".join(order) == "aaab" * 3
    assert [median(figures[name].values) for name in "ab"] == [2.0, 5.0]
    assert all(len(one.values) == 2 for one in figures.values())
    assert failures == {}


async def test_what_fails_is_left_out_with_the_reason_and_the_rest_is_measured() -> None:
    tries = iter([None, None, OSError("refused"), None])

    async def breaks() -> None:
        if (failure := next(tries)) is not None:
            raise failure

    async def works() -> None:
        return

    figures, failures = await measure(
        [Sampler(name="a", each_round=1, take=breaks), Sampler(name="b", each_round=1, take=works)], rounds=4
    )
    assert failures == {"a": "OSError"}
    assert list(figures) == ["b"]
    assert len(figures["b"].values) == 4
