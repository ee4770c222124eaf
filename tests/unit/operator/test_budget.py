"""Admission by measured budget: never over the capacity by admitting, sticky, in order, and the same every time."""

import random
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil_contracts.analyses import ANALYSES, AnalysisInfo, AnalysisName
from vigil_operator.reconcile.camera.budget import Demand, QueuePosition, admit
from vigil_operator.reconcile.camera.cost import FrameSize, camera_cost


def demand(
    name: str, cost: int = 5000, priority: int = 0, created: str = "2026-05-01", *, runs: bool = False
) -> Demand:
    return Demand(QueuePosition(-priority, created, "default", name), cost, runs)


def admitted(demands: list[Demand], capacity: int | None) -> set[str]:
    return {position.name for position, result in admit(demands, capacity).items() if result.admitted}


DEMANDS = st.lists(
    st.builds(
        Demand,
        st.builds(
            QueuePosition,
            st.integers(-3, 3),
            st.sampled_from(["2026-01", "2026-02"]),
            st.just("ns"),
            st.text("abcd", max_size=6),
        ),
        st.integers(250, 40_000),
        st.booleans(),
    ),
    unique_by=lambda one: one.position,
    max_size=30,
)
CAPACITIES = st.integers(1000, 200_000)


@given(DEMANDS, CAPACITIES)
def test_admitting_never_goes_over_the_capacity(demands: list[Demand], capacity: int) -> None:
    results = admit(demands, capacity)
    before = sum(one.cost for one in demands if one.runs)
    after = sum(one.cost for one in demands if results[one.position].admitted)
    assert after <= max(capacity, before)


@given(DEMANDS, CAPACITIES)
def test_running_cameras_keep_their_places(demands: list[Demand], capacity: int) -> None:
    results = admit(demands, capacity)
    assert all(results[one.position].admitted for one in demands if one.runs)


@given(DEMANDS, CAPACITIES)
def test_no_camera_overtakes_one_that_could_fit(demands: list[Demand], capacity: int) -> None:
    results = admit(demands, capacity)
    line = sorted((one for one in demands if not one.runs and one.cost <= capacity), key=lambda one: one.position)
    given_places = [results[one.position].admitted for one in line]
    assert given_places == sorted(given_places, reverse=True)


@given(DEMANDS, CAPACITIES, st.randoms(use_true_random=False))
def test_the_order_of_asking_changes_nothing(demands: list[Demand], capacity: int, chance: random.Random) -> None:
    shuffled = list(demands)
    chance.shuffle(shuffled)
    assert admit(shuffled, capacity) == admit(demands, capacity)


@given(DEMANDS, CAPACITIES)
def test_a_second_decision_admits_no_other_camera(demands: list[Demand], capacity: int) -> None:
    """The Cameras that the first decision admitted run by then."""
    first = admit(demands, capacity)
    again = admit([Demand(one.position, one.cost, first[one.position].admitted) for one in demands], capacity)
    assert {position for position, one in again.items() if one.admitted} == {
        position for position, one in first.items() if one.admitted
    }


@given(DEMANDS)
def test_without_a_limit_every_camera_enters(demands: list[Demand]) -> None:
    assert all(result.admitted for result in admit(demands, None).values())


def test_those_that_wait_enter_by_priority_then_age_then_name() -> None:
    waiting = [
        demand("young", created="2026-05-02"),
        demand("b"),
        demand("a"),
        demand("first", priority=5, created="2026-05-09"),
    ]
    assert admitted(waiting, 5000) == {"first"}
    assert admitted(waiting, 10000) == {"first", "a"}
    assert admitted(waiting, 15000) == {"first", "a", "b"}


def test_a_camera_that_can_never_fit_delays_no_other() -> None:
    assert admitted([demand("giant", cost=60_000, priority=9), demand("small")], 10_000) == {"small"}


def test_the_result_names_the_numbers() -> None:
    results = admit(
        [demand("runs", 7500, runs=True), demand("waits", 5000), demand("later", 250, created="2027")], 10000
    )
    assert str(results[QueuePosition(0, "2026-05-01", "default", "waits")]) == (
        "it needs 5 reference detections per second, and of the Site's 10 7.5 are taken by 1 Camera(s)"
    )
    assert str(results[QueuePosition(0, "2027", "default", "later")]).endswith("; 1 wait before it")


@pytest.mark.parametrize(
    ("fps", "width", "height", "cost"),
    [
        (5, None, None, 5000),
        (5, 640, 384, 5000),
        (5, 1920, 1080, 5000),  # 640 x 360, padded to 640 x 384
        (5, 3840, 2160, 5000),
        (10, 640, 640, 16670),  # square frames cost more
        (4, 320, 180, 1000),  # 320 x 192 is a quarter
        (4, 64, 64, 1000),  # and nothing costs less
        (5, 1080, 1920, 5000),
    ],
)
def test_a_camera_costs_what_the_detector_gets_of_it(
    fps: int, width: int | None, height: int | None, cost: int
) -> None:
    size = FrameSize(width, height) if width is not None and height is not None else None
    assert camera_cost([AnalysisName.FACES], fps, size) == cost


def test_a_camera_costs_the_sum_of_its_analyses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another analysis is one more entry, whose cost is added; one without an entry is an error."""
    with pytest.raises(KeyError):
        camera_cost([AnalysisName.FACES, AnalysisName.PEOPLE], 5, None)
    people = AnalysisInfo(AnalysisName.PEOPLE, ("person_detection",), 400)
    monkeypatch.setitem(cast("dict[AnalysisName, AnalysisInfo]", ANALYSES), AnalysisName.PEOPLE, people)
    assert camera_cost([AnalysisName.FACES, AnalysisName.PEOPLE], 5, None) == 5 * (1000 + 400)
    assert camera_cost([AnalysisName.PEOPLE], 5, None) == 5 * 400
    assert camera_cost([AnalysisName.PEOPLE], 5, FrameSize(320, 180)) == 5 * 100
