"""When the operator stops repairing what another writer changes again and again."""

import pytest
from tests.unit.operator.contexts import Clock

from vigil_operator.reconcile import conflicts
from vigil_operator.reconcile.conflicts import MAX_REPAIRS, WINDOW_S, ConflictLimiter


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(conflicts, "time", made)
    return made


def test_only_the_last_allowed_repair_says_so() -> None:
    limiter = ConflictLimiter()
    assert [limiter.note() for _ in range(MAX_REPAIRS)] == [False] * (MAX_REPAIRS - 1) + [True]


def test_it_is_left_until_the_first_repair_is_long_ago(clock: Clock) -> None:
    limiter = ConflictLimiter()
    for _ in range(MAX_REPAIRS):
        clock.now += 10
        limiter.note()
    assert limiter.left_s() == WINDOW_S - 10 * (MAX_REPAIRS - 1)
    clock.now += limiter.left_s()
    assert limiter.left_s() == 0
    assert limiter.note(), "the other repairs are not long ago yet"


def test_slower_repairs_are_not_limited(clock: Clock) -> None:
    limiter = ConflictLimiter()
    for _ in range(10 * MAX_REPAIRS):
        clock.now += WINDOW_S / (MAX_REPAIRS - 1) + 1
        assert not limiter.note()


def test_limiters_are_independent_and_can_be_reset() -> None:
    limiter, other = ConflictLimiter(), ConflictLimiter()
    for _ in range(MAX_REPAIRS):
        limiter.note()
    assert other.left_s() == 0
    limiter.reset()
    assert limiter.left_s() == 0


def test_old_repairs_take_no_memory(clock: Clock) -> None:
    limiter = ConflictLimiter()
    for _ in range(1000):
        clock.now += 10
        limiter.note()
    assert len(limiter) <= MAX_REPAIRS
