"""A heartbeat as the conditions of a Camera."""

import datetime as dt

import pytest

from vigil_contracts.conditions import ClockReason, SourceReason
from vigil_contracts.events import CameraHeartbeat, CameraRef
from vigil_contracts.events import CameraState as StreamState
from vigil_gateway.handlers.graphql import convert
from vigil_gateway.handlers.graphql.live.cameras import CameraState
from vigil_runtime.clock import ClockMonitor, ClockState

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("state", "reason", "streaming", "reached"),
    [
        (StreamState.STREAMING, SourceReason.CONNECTED, "True", "True"),
        (StreamState.STREAMING, SourceReason.FROZEN, "True", "True"),
        (StreamState.CONNECTING, SourceReason.WAITING_FOR_KEYFRAME, "False", "True"),
        (StreamState.RECONNECTING, SourceReason.STOPPED, "False", "Unknown"),
        (StreamState.RECONNECTING, SourceReason.REFUSED, "False", "False"),
        (StreamState.RECONNECTING, SourceReason.UNREACHABLE, "False", "False"),
    ],
)
def test_a_camera_that_is_read_on_is_reached(
    state: StreamState, reason: SourceReason, streaming: str, reached: str
) -> None:
    camera = CameraRef(namespace="default", name="door")
    beat = CameraHeartbeat(site="lab", camera=camera, session_id="s", state=state, reason=reason, since=NOW)
    clock = ClockState(ClockReason.CLOCK_AHEAD, 7200.0)
    seen = CameraState(beat, NOW, NOW, 0.0, ClockMonitor(), clock)
    found = {one.type: str(one.status) for one in convert.conditions(seen)}
    assert (found["Streaming"], found["SourceReachable"]) == (streaming, reached)
    assert found["ClockSynchronized"] == "False"
