"""Memory of the Cameras between two reconciles.

All of it may be lost at any time: an operator that starts has none of it. One object holds it for each Camera, so that
nothing remains of a Camera that was deleted.
"""

from dataclasses import dataclass, field

from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.reconcile.camera.edited_pods import PodMemory
from vigil_operator.reconcile.camera.foreign_installations import ClaimMemory
from vigil_operator.reconcile.camera.heartbeat_attribution import HeartbeatAttribution
from vigil_operator.reconcile.conflicts import ConflictLimiter
from vigil_operator.reconcile.registration_memory import RegistrationMemory
from vigil_operator.reconcile.status_memory import StatusMemory
from vigil_runtime.backoff import Backoff


@dataclass(slots=True)
class CameraMemory:
    """Memory of one Camera.

    Attributes
    ----------
    reason
        Reason of Ready under which the metric counts the Camera; None: it is not counted.
    written_at
        When its status was last written; seconds of the monotonic clock.
    granted_site
        The Site of which admission reserves capacity for it; None: none is reserved.
    yields
        It takes no part in admission, because another problem keeps it from starting.
    conflicts
        The repairs of its children, by kind.
    """

    reason: str | None = None
    written_at: float = float("-inf")
    granted_site: str | None = None
    yields: bool = False
    backoff: Backoff = field(default_factory=Backoff)
    status: StatusMemory = field(default_factory=StatusMemory)
    conflicts: dict[Kind, ConflictLimiter] = field(default_factory=dict)
    claim: ClaimMemory = field(default_factory=ClaimMemory)
    pods: PodMemory = field(default_factory=PodMemory)
    heartbeats: HeartbeatAttribution = field(default_factory=HeartbeatAttribution)
    registration: RegistrationMemory = field(default_factory=RegistrationMemory)


class CameraMemories:
    """The memories of all Cameras."""

    def __init__(self) -> None:
        self._by_camera: dict[Key, CameraMemory] = {}

    def __len__(self) -> int:
        return len(self._by_camera)

    def of(self, camera: Key) -> CameraMemory:
        """Return the memory of a Camera that is there; a new one when there is none yet."""
        memory = self._by_camera.get(camera)
        if memory is None:
            memory = self._by_camera[camera] = CameraMemory()
        return memory

    def find(self, camera: Key) -> CameraMemory | None:
        """Return the memory of a Camera; None when there is none."""
        return self._by_camera.get(camera)

    def drop(self, camera: Key) -> CameraMemory | None:
        """Forget a Camera that is gone, and return what was remembered."""
        return self._by_camera.pop(camera, None)
