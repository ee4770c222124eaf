"""The API's newest state of each camera, whatever the clocks of cameras and bus say."""

import datetime as dt

import pytest

from vigil_contracts import events
from vigil_contracts.clocks import TOLERANCE
from vigil_contracts.conditions import SourceReason
from vigil_contracts.events import CameraHeartbeat, CameraRef, encode_heartbeat
from vigil_contracts.ids import ResourceKey
from vigil_gateway.handlers.graphql import convert
from vigil_gateway.handlers.graphql.live.cameras import CameraStates
from vigil_runtime.clock import WINDOW

DOOR = ResourceKey("default", "door")
HOUR = dt.timedelta(hours=1)
DAY = 24 * HOUR


def heard(states: CameraStates, message: str, clock: dt.timedelta, age_s: float = 0.0) -> None:
    """Receive a heartbeat of a camera whose clock is ahead by `clock`."""
    now = dt.datetime.now(dt.UTC)
    beat = CameraHeartbeat(
        site="site",
        camera=CameraRef(namespace="default", name="door"),
        session_id="session",
        state=events.CameraState.STREAMING,
        reason=SourceReason.CONNECTED,
        message=message,
        since=now + clock,
    )
    states.receive(DOOR, encode_heartbeat(beat, now + clock), age_s)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (dt.timedelta(seconds=1), -dt.timedelta(seconds=1)),
        (HOUR, 0 * HOUR),
        (3 * DAY, 0 * DAY),
        (0 * HOUR, -HOUR),
        (0 * DAY, -3 * DAY),
        (3650 * DAY, -3650 * DAY),
    ],
)
def test_the_state_received_last_counts(first: dt.timedelta, then: dt.timedelta) -> None:
    states = CameraStates()
    heard(states, "first", first)
    for _ in range(WINDOW):
        heard(states, "then", then)
    state = states.last(DOOR)
    assert state is not None
    assert state.heartbeat.message == "then"
    shown = convert.heartbeat(state)
    assert not shown.stale
    assert shown.sent_at - shown.received_at == pytest.approx(then, abs=dt.timedelta(seconds=1))
    clock = convert.conditions(state)[-1]
    wrong = max(abs(first), abs(then)) > TOLERANCE
    assert (clock.type, str(clock.status)) == ("ClockSynchronized", "False" if wrong else "True")
    assert bool(clock.message) == wrong


@pytest.mark.parametrize(("age_s", "stale"), [(3.0, False), (30.0, True), (-3600.0, False)])
def test_a_kept_heartbeat_is_as_old_as_the_bus_says(age_s: float, *, stale: bool) -> None:
    """An age below 0 comes from a bus whose clock is ahead."""
    states = CameraStates()
    heard(states, "kept", HOUR, age_s)
    state = states.last(DOOR)
    assert state is not None
    assert convert.heartbeat(state).stale is stale
    heard(states, "live", -HOUR)
    heard(states, "kept", HOUR, 1.0)
    state = states.last(DOOR)
    assert state is not None
    assert state.heartbeat.message == "live"
