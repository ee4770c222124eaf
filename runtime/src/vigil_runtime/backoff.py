"""Exponential backoff with jitter, the only implementation in Vigil.

Each wait is drawn from the upper half of a step, and the steps double up to a longest one, so that many clients of one
server do not come back at the same moment. Exponential backoff and jitter: RFC 8555 and the AWS Builders' Library.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0
"""The default: a server of another program that an installation can do without for a while."""


class Steps(NamedTuple):
    """The first and the longest step of a backoff in seconds, and their growth; `Backoff(*STORE)`."""

    first_s: float
    longest_s: float
    factor: float = 2.0


STORE: Final = Steps(0.1, 2.0)
"""A read or a write on which live data waits: Postgres, Qdrant, an open connection to the bus."""

REDELIVERY: Final = Steps(0.25, 5.0)
"""A message from the bus that could not be processed yet; others go on meanwhile."""

CONNECTION: Final = Steps(0.2, 10.0)
"""A connection, or a task, that has to be made again."""

KUBERNETES: Final = Steps(1.0, 30.0)
"""Lists and watches of the API server, and what has to be known before a reconcile."""

REFUSAL: Final = Steps(10.0, 600.0)
"""A request that was refused for good: it succeeds after a person or another version changed something."""

PHOTO_ADDRESS: Final = Steps(1.0, 3600.0)
"""An address of a photo, which belongs to somebody else."""

CAMERA_LOGIN: Final = Steps(120.0, 3600.0, 30.0)
"""A login that a camera refused: again after 1 to 2 minutes, then every 30 to 60. So at most two are sent in any 30
minutes; cameras lock an account for as long after 3 to 10 (docs/decisions/0011)."""

_MAX_STEPS: Final = 32


def jittered(step_s: float) -> float:
    """Return a random wait between a half and the whole of a step, in seconds."""
    return step_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def spread(period_s: float, share: float = 0.2) -> float:
    """Return a period in seconds that differs at random by up to a share, so that programs do not act at once."""
    return period_s * random.uniform(1 - share, 1 + share)  # noqa: S311 - spreads load, guards nothing


def backoff_s(
    failures: int,
    first_s: float = FIRST_S,
    longest_s: float = LONGEST_S,
    factor: float = 2.0,
    *,
    jitter: Callable[[float], float] = jittered,
) -> float:
    """Return the seconds to wait after so many failures in a row, from 1, with jitter."""
    return jitter(min(longest_s, first_s * factor ** min(failures - 1, _MAX_STEPS)))


class Backoff:
    """The waits of one caller.

    Parameters
    ----------
    first_s, longest_s
        The first and the longest step in seconds.
    factor
        The growth of the steps.
    jitter
        Returns the wait for a step, both in seconds.
    """

    def __init__(
        self,
        first_s: float = FIRST_S,
        longest_s: float = LONGEST_S,
        factor: float = 2.0,
        *,
        jitter: Callable[[float], float] = jittered,
    ) -> None:
        self._steps = Steps(first_s, longest_s, factor)
        self._jitter = jitter
        self.failures = 0
        """Failures in a row."""

    def next_s(self) -> float:
        """Count a failure and return the seconds to wait."""
        self.failures += 1
        return backoff_s(self.failures, *self._steps, jitter=self._jitter)

    def reset(self) -> None:
        """Start again with the first step, after a success."""
        self.failures = 0


class KeyedBackoff(Generic[K]):
    """The waits of many callers, by key; a key that succeeded takes no memory."""

    def __init__(self, first_s: float = 0.2, longest_s: float = LONGEST_S, factor: float = 2.0) -> None:
        self._steps = Steps(first_s, longest_s, factor)
        self._failures: dict[K, int] = {}

    def failures(self, key: K) -> int:
        """Return how often a key failed in a row."""
        return self._failures.get(key, 0)

    def next_s(self, key: K) -> float:
        """Count a failure of a key and return the seconds to wait."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return backoff_s(failures, *self._steps)

    def forget(self, key: K) -> None:
        """Start again with the first step, after a success."""
        self._failures.pop(key, None)


async def retry(
    work: Callable[[], Awaitable[T]],
    *,
    on: tuple[type[Exception], ...],
    backoff: Backoff,
    failed: Callable[[Exception], None] = lambda _: None,
) -> T:
    """Return the result of `work`, called again after a wait until it raises none of the errors in `on`.

    Parameters
    ----------
    on
        Errors that another attempt may cure; any other error ends the retries.
    failed
        Called with each of these errors, before the wait.
    """
    while True:
        try:
            result = await work()
        except on as error:
            failed(error)
            await asyncio.sleep(backoff.next_s())
        else:
            backoff.reset()
            return result
