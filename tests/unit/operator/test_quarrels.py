"""When something is left to whoever undoes it again and again."""

import pytest
from tests.unit.operator.worlds import Clock

from vigil_operator.reconcile import conflicts as quarrels
from vigil_operator.reconcile.conflicts import QUARREL, QUARREL_S, Quarrels


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(quarrels, "time", made)
    return made


def test_the_last_time_of_too_many_says_so_and_not_sooner() -> None:
    fought: Quarrels[str] = Quarrels()
    assert [fought.note("a") for _ in range(QUARREL)] == [False] * (QUARREL - 1) + [True]


def test_it_is_left_until_the_first_of_them_is_long_ago(clock: Clock) -> None:
    fought: Quarrels[str] = Quarrels()
    for _ in range(QUARREL):
        clock.now += 10
        fought.note("a")
    assert fought.left_s("a") == QUARREL_S - 10 * (QUARREL - 1)
    clock.now += fought.left_s("a")
    assert fought.left_s("a") == 0
    assert fought.note("a"), "the others are not long ago yet"


def test_as_often_but_slower_is_no_quarrel(clock: Clock) -> None:
    fought: Quarrels[str] = Quarrels()
    for _ in range(10 * QUARREL):
        clock.now += QUARREL_S / (QUARREL - 1) + 1
        assert not fought.note("a")


def test_one_thing_is_not_held_against_another() -> None:
    fought: Quarrels[str] = Quarrels()
    for _ in range(QUARREL):
        fought.note("a")
    assert fought.left_s("b") == 0
    fought.forget("a")
    assert fought.left_s("a") == 0


def test_what_is_long_ago_takes_no_room(clock: Clock) -> None:
    fought: Quarrels[int] = Quarrels()
    for number in range(1000):
        clock.now += 10
        fought.note(number)
    assert len(fought) <= QUARREL_S / 10 + 1
