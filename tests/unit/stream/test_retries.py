"""When a lost source is opened again: soon, but a refused login rarely."""

import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture import retries
from vigil_stream.capture.credentials import Credentials
from vigil_stream.capture.errors import LoginRefusedError, SourceError
from vigil_stream.capture.retries import Retries

REFUSED = LoginRefusedError(SourceReason.UNAUTHORIZED, "it refuses the user or password")
GONE = SourceError(SourceReason.UNREACHABLE, "it cannot be reached")
WRONG, RIGHT = (Credentials({}, ("user", password)) for password in ("wrong", "right"))
HALF_HOUR_S = 1800


@given(st.lists(st.booleans(), min_size=3, max_size=60))
def test_account_lockout_at_any_mix_of_errors(refused: list[bool]) -> None:
    """Never three refused logins in half an hour: the strictest cameras lock an account after three."""
    attempts, now, sent = Retries(lambda: WRONG), 0.0, []
    for is_refused in refused:
        attempts.begin()
        if is_refused:
            sent.append(now)
        _, wait_s = attempts.fail(REFUSED if is_refused else GONE)
        assert is_refused or wait_s <= 60
        now += wait_s
    assert all(third - first > HALF_HOUR_S for first, third in zip(sent, sent[2:], strict=False))


def in_turn(*logins: Credentials | None) -> Callable[[], Credentials | None]:
    """Return what the Secret holds at each reading; the last for ever."""
    left = list(logins)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize(
    ("logins", "ends"),
    [
        pytest.param((WRONG, WRONG, RIGHT), True, id="another login"),
        pytest.param((WRONG, None, RIGHT), True, id="being replaced"),
        pytest.param((None, RIGHT), True, id="readable now"),
        pytest.param((WRONG, None, WRONG), False, id="the same again"),
        pytest.param((WRONG, None), False, id="gone"),
    ],
)
def test_a_refused_login_waits_for_another(
    logins: tuple[Credentials | None, ...], ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "CHECK_S", 0.001)
    attempts, stop = Retries(in_turn(*logins)), threading.Event()
    attempts.begin()
    attempts.fail(REFUSED)
    begun = time.monotonic()
    attempts.wait(30.0 if ends else 0.05, stop)
    assert (time.monotonic() - begun < 20) if ends else (time.monotonic() - begun >= 0.05)


def test_another_login_begins_with_the_short_wait() -> None:
    """A Secret that is replaced by the same login does not."""
    attempts = Retries(in_turn(WRONG, None, WRONG, RIGHT))
    waits = []
    for _ in range(4):
        attempts.begin()
        waits.append(attempts.fail(REFUSED)[1])
    assert [wait_s <= 120 for wait_s in waits] == [True, False, False, True]


def test_a_wait_ends_with_the_process() -> None:
    attempts, stop = Retries(lambda: WRONG), threading.Event()
    attempts.begin()
    _, wait_s = attempts.fail(REFUSED)
    stop.set()
    begun = time.monotonic()
    attempts.wait(wait_s, stop)
    assert time.monotonic() - begun < 20
