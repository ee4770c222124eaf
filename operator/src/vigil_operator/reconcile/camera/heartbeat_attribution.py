"""Of whom a heartbeat is: of the process in a Camera's newest pod, or of one before it.

A heartbeat names its session and no pod. What was heard already when a pod was first seen cannot be of that pod's
process. No clocks are compared: the cameras', the nodes' and the API server's need not agree.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vigil_operator.bus.heartbeats import STALE_S, Heard
from vigil_operator.kube.kinds import Key, Object
from vigil_operator.reconcile.camera import pods

ENDED: Final = frozenset({"Failed", "Succeeded"})


@dataclass(slots=True)
class _Known:
    """What is remembered of a Camera.

    Attributes
    ----------
    pod
        The uid of its newest pod.
    before
        The session that was heard when that pod was first seen.
    alone_since
        Since when no other pod could speak in that session, on the monotonic clock.
    """

    pod: object
    before: str | None = None
    alone_since: float | None = None


class Voices:
    """Tells which heartbeats count for the newest pod of each Camera.

    The first pod that is seen of a Camera is taken for the one that is heard: an operator that starts finds Cameras
    that stream.
    """

    def __init__(self) -> None:
        self._known: dict[Key, _Known] = {}

    def of_newest(self, camera: Key, there: Sequence[Object], heard: Heard | None) -> tuple[Heard | None, float | None]:
        """Give what was heard, if it is of the newest pod; and the seconds after which to ask again, if time may tell.

        Parameters
        ----------
        there
            All pods of the Camera.
        """
        newest = pods.newest(there)
        if newest is None:
            return heard, None
        uid = newest["metadata"].get("uid")
        known = self._known.get(camera)
        if known is None:
            known = self._known[camera] = _Known(uid)
        elif known.pod != uid:
            known = self._known[camera] = _Known(uid, heard.beat.session_id if heard is not None else None)
        if heard is None or heard.beat.session_id != known.before:
            return heard, None
        return self._once_alone(known, there, heard)

    def _once_alone(self, known: _Known, there: Sequence[Object], heard: Heard) -> tuple[Heard | None, float | None]:
        """Take a session for the newest pod's after all, when it is heard for longer than any other can have been.

        So it is when the operator saw the pod later than it heard its process.
        """
        others = [pod for pod in there if (pod.get("status") or {}).get("phase") not in ENDED]
        if len(others) > 1:
            known.alone_since = None
            return None, None  # the watch tells when one goes
        now = time.monotonic()
        if known.alone_since is None:
            known.alone_since = now
        left_s = STALE_S - (now - known.alone_since)
        if left_s > 0:
            return None, left_s + 0.5
        known.before = None
        return heard, None

    def forget(self, camera: Key) -> None:
        """Forget a Camera that is gone."""
        self._known.pop(camera, None)
