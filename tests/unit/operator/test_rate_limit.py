"""The rate limit of work that can wait."""

import pytest
from tests.unit.operator.contexts import Clock

from vigil_operator.reconcile import rate_limit
from vigil_operator.reconcile.rate_limit import RateLimit


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(rate_limit, "time", made)
    return made


def test_a_burst_takes_the_saved_tokens_and_no_more(clock: Clock) -> None:
    turns: RateLimit[str] = RateLimit(2.0, 3.0)
    clock.now += 1000
    assert [turns.wait_s(key) for key in "abc"] == [0.0, 0.0, 0.0]
    assert turns.wait_s("d") == 0.5


def test_the_wait_grows_with_the_keys_that_wait() -> None:
    turns: RateLimit[str] = RateLimit(2.0, 1.0)
    assert turns.wait_s("a") == 0.0
    assert [turns.wait_s(key) for key in "bcd"] == [0.5, 1.0, 1.5]
    assert turns.wait_s("b") == 1.5  # asking again takes no second place


def test_a_key_that_comes_in_time_gets_a_token(clock: Clock) -> None:
    turns: RateLimit[int] = RateLimit(5.0, 20.0)
    due = {key: turns.wait_s(key) for key in range(100)}
    started = clock.now
    while waiting := {key: after for key, after in due.items() if after > 0}:
        key = min(waiting, key=lambda one: waiting[one])
        clock.now = max(clock.now, started + waiting[key])
        again = turns.wait_s(key)
        due[key] = clock.now - started + again if again else 0.0
    assert clock.now - started == pytest.approx(80 / 5, abs=0.5)


def test_a_forgotten_key_delays_no_other() -> None:
    turns: RateLimit[str] = RateLimit(1.0, 1.0)
    turns.wait_s("a")
    assert [turns.wait_s(key) for key in "bcd"] == [1.0, 2.0, 3.0]
    turns.forget("b")
    turns.forget("c")
    assert turns.wait_s("d") == 1.0
