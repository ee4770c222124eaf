"""Whose a Camera is, where more than one installation of Vigil serves its namespace.

Every child carries the name of the installation that made it. The Deployment says whose the Camera is, and where there
is none its ServiceAccount, which is made first; the other children follow, so that of two installations that begin at
the same moment neither has a half for good. A Camera of another installation is left alone, and so is its status while
that one is at work: two that write one status would do so for ever.
"""

import time
from collections import Counter
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
from vigil_operator.reconcile.context import World
from vigil_operator.resources.names import CAMERA_LABEL, INSTALLATION, child_name
from vigil_operator.resources.wiring import installation

log = structlog.get_logger(__name__)

DECIDING: Final = (Kind.DEPLOYMENT, Kind.SERVICE_ACCOUNT)
LOOK_S: Final = 5.0
"""Another installation's Lease is read at most so often."""
LEASE_S: Final = 15
"""Of a Lease that does not say how long it lasts."""
SAYINGS: Final = 3
"""So often a Camera says whose it is, when nobody can tell whether that one is at work: who is takes it back."""


@dataclass(frozen=True, slots=True)
class Claim:
    """That a Camera is another installation's.

    Attributes
    ----------
    silent
        The other one is at work, and tells how the Camera is.
    """

    problem: Problem
    silent: bool


@dataclass(slots=True)
class _Neighbour:
    """Another installation as its Lease shows it; times of the monotonic clock."""

    looked: float = field(default_factory=lambda: time.monotonic() - LOOK_S)
    record: object = None
    changed: float = 0.0
    works: bool | None = None


class Neighbours:
    """Tells this installation's Cameras from another's."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._own = installation(world.settings)
        self._known: dict[str, _Neighbour] = {}
        self._said: Counter[Key] = Counter()
        self._told: set[Key] = set()

    def owner(self, key: Key) -> str | None:
        """Name the other installation that a Camera is run by; None: it is ours, or nobody's yet."""
        for kind in DECIDING:
            child = self._world.cache.get(Key(kind, key.namespace, child_name(key.name)))
            if child is not None:
                return self.stamp(child)
        return None

    def stamp(self, child: Object) -> str | None:
        """Name the other installation that made a child; None: ours, or an earlier version that did not say."""
        found = (child["metadata"].get("annotations") or {}).get(INSTALLATION)
        return found if found and found != self._own else None

    async def claim(self, key: Key, camera: Object) -> Claim | None:
        """Say whether another installation runs a Camera; raises KubeError.

        Parameters
        ----------
        camera
            As last seen.
        """
        other = self.owner(key)
        if other is None:
            self.forget(key)
            return None
        problem = Problem(Reason.APPLY_CONFLICT, self._words(key, other))
        works = await self._works(other)
        silent = works if works is not None else self._has_said(key, camera, problem.message)
        if silent and key not in self._told:
            self._told.add(key)
            await self._world.events.tell(camera, key, "Warning", problem.reason, problem.message, "Reconcile")
        return Claim(problem, silent)

    def forget(self, key: Key) -> None:
        """Forget a Camera that is gone, or ours."""
        self._told.discard(key)
        self._said.pop(key, None)

    def _words(self, key: Key, other: str) -> str:
        return (
            f"the Camera is run by another installation of Vigil, {other}, and {self._own} leaves it alone; uninstall "
            f"one of the two, or give them different operator.namespaces. If {other} is gone for good, take over what "
            "it made: "
            f"kubectl annotate deployments,serviceaccounts -n {key.namespace} -l {CAMERA_LABEL} {INSTALLATION}-"
        )

    def _has_said(self, key: Key, camera: Object, message: str) -> bool:
        """Say whether a Camera was told often enough whose it is, and somebody took that back each time."""
        conditions = statuses.entries(statuses.status_of(camera), "conditions")
        if any(one.get("type") == CameraCondition.READY and one.get("message") == message for one in conditions):
            return False
        self._said[key] += 1
        return self._said[key] > SAYINGS

    async def _works(self, other: str) -> bool | None:
        """Say whether another installation is at work; None: its Lease may not be read."""
        known = self._known.get(other)
        if known is None:
            known = self._known[other] = _Neighbour()
            log.warning("another installation of Vigil runs Cameras in the same namespaces", other=other, own=self._own)
        if time.monotonic() - known.looked >= LOOK_S:
            known.works = await self._look(other, known)
            known.looked = time.monotonic()
        return known.works

    async def _look(self, other: str, known: _Neighbour) -> bool | None:
        namespace, _, name = other.partition("/")
        if not (DNS_LABEL.fullmatch(namespace) and DNS_LABEL.fullmatch(name)):
            return None  # somebody else's words; they lead to no request
        try:
            lease = await self._world.api.get(Key(Kind.LEASE, namespace, name))
        except NotFoundError:
            return False
        except DeniedError:
            return None
        spec = lease.get("spec") or {}
        record = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != known.record:  # by our own clock, as who waits for a Lease does
            known.record, known.changed = record, time.monotonic()
        lasts_s = spec.get("leaseDurationSeconds") or LEASE_S
        return bool(spec.get("holderIdentity")) and time.monotonic() - known.changed <= lasts_s
