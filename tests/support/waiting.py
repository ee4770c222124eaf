"""Wait for what a test promises, never for a fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

Value = TypeVar("Value")
MAX_MORE_S = 60.0
"""By so much, at most, deadlines are longer than tests ask for: threefold, for a machine that does other work too.
What comes is seen at once, so that only what never comes takes longer."""


def wait_until(condition: Callable[[], Value], deadline_s: float, what: str, poll_s: float = 0.05) -> Value:
    """Ask until the answer is true, and return it; fail with `what` and the last answer when it never is."""
    deadline_s = _patient(deadline_s)
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline_s:g} s (last: {value!r})")
        time.sleep(poll_s)


@overload
async def eventually(
    condition: Callable[[], Awaitable[Value]], deadline_s: float, what: str, poll_s: float = 0.05
) -> Value: ...
@overload
async def eventually(condition: Callable[[], Value], deadline_s: float, what: str, poll_s: float = 0.05) -> Value: ...
async def eventually(condition: Callable[[], Any], deadline_s: float, what: str, poll_s: float = 0.05) -> Any:
    """As `wait_until`, for conditions that may be coroutines, without blocking the loop."""
    deadline_s = _patient(deadline_s)
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline_s:g} s (last: {value!r})")
        await asyncio.sleep(poll_s)


def _patient(deadline_s: float) -> float:
    return deadline_s + min(2 * deadline_s, MAX_MORE_S)
