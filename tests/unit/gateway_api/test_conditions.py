"""A heartbeat as the conditions of a Camera."""

import datetime as dt

import pytest

from vigil_contracts.conditions import SourceReason
from vigil_contracts.events import CameraHeartbeat, CameraRef, CameraState
from vigil_gateway.handlers.graphql import convert

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("state", "reason", "streaming", "reached"),
    [
        (CameraState.STREAMING, SourceReason.CONNECTED, "True", "True"),
        (CameraState.STREAMING, SourceReason.FROZEN, "True", "True"),
        (CameraState.CONNECTING, SourceReason.WAITING_FOR_KEYFRAME, "False", "True"),
        (CameraState.RECONNECTING, SourceReason.STOPPED, "False", "Unknown"),
        (CameraState.RECONNECTING, SourceReason.REFUSED, "False", "False"),
        (CameraState.RECONNECTING, SourceReason.UNREACHABLE, "False", "False"),
    ],
)
def test_a_camera_that_is_read_on_is_reached(
    state: CameraState, reason: SourceReason, streaming: str, reached: str
) -> None:
    camera = CameraRef(namespace="default", name="door")
    beat = CameraHeartbeat(site="lab", camera=camera, session_id="s", state=state, reason=reason, since=NOW)
    found = {one.type: str(one.status) for one in convert.conditions(beat)}
    assert (found["Streaming"], found["SourceReachable"]) == (streaming, reached)
