"""Attribute heartbeats to a Camera's newest pod, or to a pod before it.

A heartbeat names its session and no pod. A session that sent before a pod was first seen cannot be that of the
pod's process. No clocks are compared: those of the cameras, the nodes and the API server need not agree.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vigil_operator.bus.heartbeats import STALE_S, LastHeartbeat
from vigil_operator.kube.kinds import Object
from vigil_operator.reconcile.camera import pods

ENDED: Final = frozenset({"Failed", "Succeeded"})


_NO_POD: Final = object()
"""No pod was seen yet."""


@dataclass(slots=True)
class HeartbeatAttribution:
    """Attributes the heartbeats of one Camera to its newest pod.

    The first pod that is seen counts as the sender: an operator that starts finds Cameras that stream.

    Attributes
    ----------
    pod
        The uid of the newest pod.
    previous
        The session that sent when that pod was first seen; None: none, or it turned out to be the pod's own.
    alone_since
        Since when no other pod could send in that session; seconds of the monotonic clock.
    """

    pod: object = _NO_POD
    previous: str | None = None
    alone_since: float | None = None

    def attribute(
        self, there: Sequence[Object], heartbeat: LastHeartbeat | None
    ) -> tuple[LastHeartbeat | None, float | None]:
        """Return the heartbeat if it is the newest pod's, and the seconds after which time alone may decide it.

        Parameters
        ----------
        there
            All pods of the Camera.
        """
        newest = pods.newest(there)
        if newest is None:
            return heartbeat, None
        uid = newest["metadata"].get("uid")
        if self.pod is _NO_POD:
            self.pod = uid
        elif self.pod != uid:
            self.pod, self.alone_since = uid, None
            self.previous = heartbeat.beat.session_id if heartbeat is not None else None
        if heartbeat is None or heartbeat.beat.session_id != self.previous:
            return heartbeat, None
        return self._once_alone(there, heartbeat)

    def _once_alone(
        self, there: Sequence[Object], heartbeat: LastHeartbeat
    ) -> tuple[LastHeartbeat | None, float | None]:
        """Attribute a session to the newest pod when it sends for longer than any other pod can.

        This happens when the operator saw the pod later than its first heartbeat.
        """
        others = [pod for pod in there if (pod.get("status") or {}).get("phase") not in ENDED]
        if len(others) > 1:
            self.alone_since = None
            return None, None  # the watch reports when one goes
        now = time.monotonic()
        if self.alone_since is None:
            self.alone_since = now
        left_s = STALE_S - (now - self.alone_since)
        if left_s > 0:
            return None, left_s + 0.5
        self.previous = None
        return heartbeat, None
