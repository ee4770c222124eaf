import math

import numpy as np
import pytest
from bench.figures import Goal, Row, find_capacity, percentile, percentiles, ratio_of_medians


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([7.0], 95, 7.0), ([1, 2], 50, 1.5), ([3, 1, 2], 0, 1), ([3, 1, 2], 100, 3), (list(range(101)), 95, 95)],
)
def test_percentile(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == pytest.approx(expected)


def test_percentiles_are_numpys() -> None:
    values = np.random.default_rng(7).exponential(size=997).tolist()
    found = percentiles(values)
    assert [found.p50, found.p95, found.p99] == pytest.approx(np.percentile(values, [50, 95, 99]))
    assert found.count == 997


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (Goal("at least", 0.8), 0.8, True),
        (Goal("at least", 0.8), 0.79, False),
        (Goal("at most", 100), 100, True),
        (Goal("at most", 100), 100.5, False),
        (Goal("at most", 100), None, False),
        (Goal("at most", 100), math.nan, False),
    ],
)
def test_a_goal_is_met_at_its_value_never_by_a_missing_figure(goal: Goal, value: float | None, *, met: bool) -> None:
    """A goal is met at its value and never by what was not measured."""
    assert goal.met(value) is met


def test_a_failed_row_is_not_ok_even_without_a_goal() -> None:
    assert Row("p", "n", None, "ms", failed=True).ok is False
    assert Row("p", "n", 5, "ms").ok is None


def test_the_ratio_is_one_of_medians() -> None:
    """The ratio is of medians so that one spoilt run does not count."""
    assert ratio_of_medians([40, 2, 42], [50, 51, 500]) == pytest.approx(40 / 51)
    assert math.isnan(ratio_of_medians([1], [0]))


@pytest.mark.parametrize("true", [0, 1, 2, 3, 5, 7, 8, 13, 23])
@pytest.mark.parametrize("start", [1, 4, 16])
def test_the_capacity_is_found_exactly(true: int, start: int) -> None:
    found = find_capacity(lambda load: load <= true, start=start, limit=64)
    assert found.largest == true
    assert not found.limited
    assert all(held == (load <= true) for load, held in found.tried.items())


def test_a_capacity_beyond_the_limit_is_marked() -> None:
    found = find_capacity(lambda _: True, limit=12)
    assert (found.largest, found.limited) == (12, True)


def test_a_load_that_fails_once_is_tried_again() -> None:
    spoilt = {4}

    def holds(load: int) -> bool:
        if load in spoilt:
            spoilt.discard(load)
            return False
        return load <= 6

    assert find_capacity(holds).largest == 6
