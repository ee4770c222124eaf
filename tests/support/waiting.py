"""Wait for what a test promises, never for a fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Value = TypeVar("Value")


def wait_until(condition: Callable[[], Value], deadline_s: float, what: str, poll_s: float = 0.05) -> Value:
    """Ask until the answer is true, and return it; fail with `what` and the last answer when it never is."""
    end = time.monotonic() + deadline_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline_s:g} s (last: {answer!r})")
        time.sleep(poll_s)


async def eventually(
    condition: Callable[[], Value | Awaitable[Value]], deadline_s: float, what: str, poll_s: float = 0.05
) -> Value:
    """As `wait_until`, for conditions that may be coroutines, without blocking the loop."""
    end = time.monotonic() + deadline_s
    while True:
        given = condition()
        answer: Value = await given if inspect.isawaitable(given) else given
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline_s:g} s (last: {answer!r})")
        await asyncio.sleep(poll_s)
