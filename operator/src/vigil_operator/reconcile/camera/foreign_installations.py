"""Find the installation of Vigil that runs a Camera, where more than one serves its namespace.

Every child carries the name of the installation that made it. The Deployment decides, and where there is none the
ServiceAccount, which is made first; the other children follow, so that of two installations that begin at the same
moment neither keeps a half for good. A Camera of another installation is left alone, and so is its status while that
installation is at work: two operators that write one status would do so for ever.
"""

import time
from dataclasses import dataclass, field
from typing import Final

import structlog

from vigil_contracts.conditions import CameraCondition
from vigil_contracts.conditions import CameraReason as Reason
from vigil_contracts.ids import DNS_LABEL
from vigil_operator.kube.errors import DeniedError, NotFoundError
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile import conditions as statuses
from vigil_operator.reconcile.camera.conditions import Problem
from vigil_operator.reconcile.context import ReconcileContext
from vigil_operator.resources.names import CAMERA_LABEL, INSTALLATION, child_name
from vigil_operator.resources.wiring import installation

log = structlog.get_logger(__name__)

DECIDING: Final = (Kind.DEPLOYMENT, Kind.SERVICE_ACCOUNT)
LEASE_READ_S: Final = 5.0
"""The Lease of another installation is read at most so often."""
LEASE_S: Final = 15
"""Duration of a Lease that does not name one."""
MAX_CLAIM_REPORTS: Final = 3
"""Times that a status names the other installation when its Lease cannot be read: one at work overwrites it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Another installation runs a Camera.

    Attributes
    ----------
    silent
        The other installation is at work and writes the Camera's status.
    """

    problem: Problem
    silent: bool


@dataclass(slots=True)
class ClaimMemory:
    """Memory of a Camera that another installation runs.

    Attributes
    ----------
    reports
        How often the status had to name the other installation.
    announced
        An event has named it.
    """

    reports: int = 0
    announced: bool = False

    def clear(self) -> None:
        """Forget everything: the Camera is ours."""
        self.reports, self.announced = 0, False


@dataclass(slots=True)
class _ForeignInstallation:
    """Another installation as its Lease shows it; times of the monotonic clock."""

    read_at: float = field(default_factory=lambda: time.monotonic() - LEASE_READ_S)
    record: object = None
    changed_at: float = 0.0
    works: bool | None = None


class ForeignInstallations:
    """Distinguishes this installation's Cameras from those of others."""

    def __init__(self, context: ReconcileContext) -> None:
        self._context = context
        self._own = installation(context.settings)
        self._others: dict[str, _ForeignInstallation] = {}

    def owner(self, key: Key) -> str | None:
        """Return the other installation that runs a Camera; None: it is ours, or no installation's yet."""
        for kind in DECIDING:
            child = self._context.cache.get(Key(kind, key.namespace, child_name(key.name)))
            if child is not None:
                return self.maker(child)
        return None

    def maker(self, child: Object) -> str | None:
        """Return the other installation that made a child; None: ours, or an earlier version without the annotation."""
        found = (child["metadata"].get("annotations") or {}).get(INSTALLATION)
        return found if found and found != self._own else None

    async def claim(self, key: Key, camera: Object, memory: ClaimMemory) -> Claim | None:
        """Return the claim of another installation on a Camera; raise KubeError when that cannot be decided.

        Parameters
        ----------
        camera
            As last seen.
        """
        other = self.owner(key)
        if other is None:
            memory.clear()
            return None
        problem = Problem(Reason.APPLY_CONFLICT, self._message(key, other))
        works = await self._works(other)
        silent = works if works is not None else _is_overwritten(camera, problem.message, memory)
        if silent and not memory.announced:
            memory.announced = True
            await self._context.events.write(camera, key, "Warning", problem.reason, problem.message, "Reconcile")
        return Claim(problem, silent)

    def _message(self, key: Key, other: str) -> str:
        return (
            f"the Camera is run by another installation of Vigil, {other}, and {self._own} leaves it alone; uninstall "
            f"one of the two, or give them different operator.namespaces. If {other} is gone for good, take over what "
            "it made: "
            f"kubectl annotate deployments,serviceaccounts -n {key.namespace} -l {CAMERA_LABEL} {INSTALLATION}-"
        )

    async def _works(self, name: str) -> bool | None:
        """Return whether another installation is at work; None: its Lease may not be read."""
        other = self._others.get(name)
        if other is None:
            other = self._others[name] = _ForeignInstallation()
            log.warning("another installation of Vigil runs Cameras in the same namespaces", other=name, own=self._own)
        if time.monotonic() - other.read_at >= LEASE_READ_S:
            other.works = await self._read_lease(name, other)
            other.read_at = time.monotonic()
        return other.works

    async def _read_lease(self, installation_name: str, other: _ForeignInstallation) -> bool | None:
        namespace, _, name = installation_name.partition("/")
        if not (DNS_LABEL.fullmatch(namespace) and DNS_LABEL.fullmatch(name)):
            return None  # anybody may write the annotation; only a valid name leads to a request
        try:
            lease = await self._context.api.get(Key(Kind.LEASE, namespace, name))
        except NotFoundError:
            return False
        except DeniedError:
            return None
        spec = lease.get("spec") or {}
        record = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != other.record:  # by our own clock, as client-go waits for a Lease
            other.record, other.changed_at = record, time.monotonic()
        lasts_s = spec.get("leaseDurationSeconds") or LEASE_S
        return bool(spec.get("holderIdentity")) and time.monotonic() - other.changed_at <= lasts_s


def _is_overwritten(camera: Object, message: str, memory: ClaimMemory) -> bool:
    """Return whether the status named the other installation several times and was overwritten each time."""
    conditions = statuses.entries(statuses.status_of(camera), "conditions")
    if any(one.get("type") == CameraCondition.READY and one.get("message") == message for one in conditions):
        return False
    memory.reports += 1
    return memory.reports > MAX_CLAIM_REPORTS
