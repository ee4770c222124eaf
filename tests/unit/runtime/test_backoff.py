"""Backoff: every wait lies in the upper half of its step, steps double, a success starts again."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil_runtime.backoff import Backoff, KeyedBackoff, backoff_s, retry, spread


@given(st.integers(1, 10_000), st.floats(0.01, 10), st.floats(10, 3600))
def test_a_wait_is_half_to_whole_of_its_step(failures: int, first_s: float, longest_s: float) -> None:
    step = min(longest_s, first_s * 2.0 ** min(failures - 1, 32))
    assert step / 2 <= backoff_s(failures, first_s, longest_s) <= step


def test_a_success_starts_with_the_first_step_again() -> None:
    backoff = Backoff(1.0, 60.0)
    for _ in range(8):
        backoff.next_s()
    assert backoff.next_s() >= 30.0
    backoff.reset()
    assert backoff.next_s() <= 1.0


def test_the_jitter_is_replaceable() -> None:
    backoff = Backoff(1.0, 3.0, jitter=lambda step_s: step_s)
    assert [backoff.next_s() for _ in range(3)] == [1.0, 2.0, 3.0]


def test_keys_wait_apart_and_a_forgotten_one_starts_again() -> None:
    backoff: KeyedBackoff[str] = KeyedBackoff(1.0, 60.0)
    for _ in range(5):
        backoff.next_s("slow")
    assert (backoff.failures("slow"), backoff.failures("new")) == (5, 0)
    assert backoff.next_s("new") <= 1.0
    backoff.forget("slow")
    assert backoff.next_s("slow") <= 1.0


async def test_retry_returns_the_first_result_and_reports_failures() -> None:
    outcomes: list[Exception | str] = [OSError("away"), TimeoutError("slow"), "there"]
    seen: list[Exception] = []

    async def work() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    backoff = Backoff(0.001, 0.002)
    assert await retry(work, on=(OSError, TimeoutError), backoff=backoff, failed=seen.append) == "there"
    assert [str(error) for error in seen] == ["away", "slow"]
    assert backoff.failures == 0


async def test_retry_ends_with_an_error_that_no_attempt_cures() -> None:
    async def work() -> None:
        raise ValueError("wrong for good")

    with pytest.raises(ValueError, match="wrong for good"):
        async with asyncio.timeout(5):
            await retry(work, on=(OSError,), backoff=Backoff(0.001, 0.002))


@given(st.floats(0.001, 1e6), st.floats(0, 1))
def test_a_spread_period_differs_by_its_share_at_most(period_s: float, share: float) -> None:
    assert period_s * (1 - share) <= spread(period_s, share) <= period_s * (1 + share)
