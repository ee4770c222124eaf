"""The clock of another machine, by when its messages were sent and received."""

import datetime as dt
from collections.abc import Sequence

import pytest

from vigil_contracts.conditions import ClockReason
from vigil_runtime.clock import JUMPED_S, WINDOW, ClockMonitor, clock_offset_s

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
HOUR, DAY = 3600.0, 86400.0
AHEAD, BEHIND, JUMPED, RIGHT = (
    ClockReason.CLOCK_AHEAD,
    ClockReason.CLOCK_BEHIND,
    ClockReason.CLOCK_JUMPED,
    ClockReason.SYNCHRONIZED,
)


@pytest.mark.parametrize(
    ("what", "offsets", "reason", "words"),
    [
        ("right", [-0.01] * 5, RIGHT, ""),
        ("a second ahead", [1.0] * 5, RIGHT, ""),
        ("a second behind", [-1.0] * 5, RIGHT, ""),
        ("an hour ahead", [HOUR], AHEAD, "60 minutes ahead"),
        ("an hour behind", [-HOUR], BEHIND, "60 minutes behind"),
        ("three days ahead", [3 * DAY], AHEAD, "3 days ahead"),
        ("three days behind", [-3 * DAY], BEHIND, "3 days behind"),
        ("at 2200", [174 * 365 * DAY], AHEAD, "63510 days ahead"),
        ("a message was late", [-0.1, -90.0, -0.1], RIGHT, ""),
        ("a connection stalled", [-0.1, -8.0, -6.0, -4.0, -2.0, -0.1], RIGHT, ""),
        ("set back", [-0.1] + [-HOUR] * WINDOW, BEHIND, "60 minutes behind"),
        ("set back to what is right", [3 * DAY] + [-0.1] * WINDOW, JUMPED, "was set by 3 days"),
        ("set forward to what is right", [-3 * DAY, -0.1], JUMPED, "was set by 3 days"),
        ("drifts over a minute", [float(n) for n in range(91)], AHEAD, "ahead"),
    ],
)
def test_offsets_lead_to_this_state(what: str, offsets: Sequence[float], reason: ClockReason, words: str) -> None:
    monitor = ClockMonitor()
    states = [monitor.note(offset, at) for at, offset in enumerate(offsets)]
    assert states[-1].reason is reason, what
    assert words in states[-1].message
    assert bool(states[-1].message) == (reason is not RIGHT)


def test_an_offset_that_trembles_is_one_state() -> None:
    """Each change would write the status of the Camera anew."""
    for middle in (60.0, HOUR, -HOUR, 2 * DAY):
        monitor = ClockMonitor()
        states = {monitor.note(middle + number % 7 - 3, number) for number in range(100)}
        assert len(states) == 1, middle


def test_a_jump_is_reported_for_some_minutes() -> None:
    monitor = ClockMonitor()
    monitor.note(-HOUR, 0)
    assert monitor.note(0, 1).reason is JUMPED
    assert monitor.note(0, JUMPED_S).reason is JUMPED
    assert monitor.note(0, JUMPED_S + 1).reason is RIGHT


@pytest.mark.parametrize(
    ("sent_at", "offset_s"),
    [
        (None, None),
        (7, None),
        ("", None),
        ("yesterday", None),
        ("2026-03-01T12:00:00", None),
        ("2026-03-01T13:00:00+00:00", HOUR),
        ("2026-03-01T13:00:00Z", HOUR),
        ("2026-03-01T13:00:00+02:00", -HOUR),
    ],
)
def test_an_offset_is_measured_from_what_the_sender_wrote(sent_at: object, offset_s: float | None) -> None:
    assert clock_offset_s(sent_at, NOW) == offset_s
