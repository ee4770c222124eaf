import pytest

from vigil_runtime.backoff import Backoff
from vigil_vision.triton.breaker import FIRST_PAUSE_S, LONGEST_PAUSE_S, PROBE_EXPIRES_S, Breaker, Circuit


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make(jitter: float = 0.0) -> tuple[Breaker, Clock]:
    clock = Clock()
    backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, jitter=lambda step_s: step_s * (1 - jitter / 2))
    return Breaker(clock=clock, backoff=backoff), clock


def test_a_refused_connection_opens_at_once() -> None:
    breaker, _ = make()
    assert breaker.failed(decisive=True)
    assert breaker.circuit is Circuit.OPEN


def test_two_timeouts_are_tolerated_the_third_opens() -> None:
    breaker, _ = make()
    assert [breaker.failed(decisive=False) for _ in range(3)] == [False, False, True]


def test_a_success_between_timeouts_resets_their_count() -> None:
    breaker, _ = make()
    for _ in range(5):
        breaker.failed(decisive=False)
        breaker.failed(decisive=False)
        breaker.succeeded()
    assert breaker.circuit is Circuit.CLOSED


def test_only_one_call_probes() -> None:
    breaker, clock = make()
    breaker.failed(decisive=True)
    assert not breaker.try_probe()
    clock.now += FIRST_PAUSE_S
    assert [breaker.try_probe() for _ in range(3)] == [True, False, False]
    assert (breaker.circuit, breaker.succeeded(), breaker.circuit) == (Circuit.HALF_OPEN, True, Circuit.CLOSED)


def test_a_probe_that_never_reports_back_expires() -> None:
    breaker, clock = make()
    breaker.failed(decisive=True)
    clock.now += FIRST_PAUSE_S
    assert breaker.try_probe()
    clock.now += PROBE_EXPIRES_S
    assert breaker.try_probe()


def test_pauses_double_up_to_a_limit_and_start_small_again() -> None:
    breaker, clock = make()
    pauses = []
    for _ in range(10):
        breaker.failed(decisive=True)
        pauses.append(breaker.wait_s())
        clock.now += breaker.wait_s()
    assert pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert abs(pauses[-1] - LONGEST_PAUSE_S) < 1e-6
    breaker.succeeded()
    breaker.failed(decisive=True)
    assert abs(breaker.wait_s() - FIRST_PAUSE_S) < 1e-6


def test_jitter_shortens_a_pause_by_up_to_a_half() -> None:
    breaker, _ = make(jitter=1.0)
    breaker.failed(decisive=True)
    assert abs(breaker.wait_s() - FIRST_PAUSE_S / 2) < 1e-6


def test_a_closed_circuit_needs_no_probe_and_no_wait() -> None:
    breaker, _ = make()
    assert not breaker.try_probe()
    assert breaker.wait_s() == 0
