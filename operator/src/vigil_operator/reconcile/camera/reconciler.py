"""Cameras: one stream pod each, and the truth about it in the status."""

import datetime as dt
import time
from dataclasses import replace
from typing import Final

from vigil_contracts.conditions import CameraCondition, SourceReason
from vigil_contracts.conditions import CameraReason as Reason
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources import Camera
from vigil_operator.bus.heartbeats import Heard
from vigil_operator.kube.errors import AwayError
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.queue import Backoff
from vigil_operator.reconcile import conditions as statuses
from vigil_operator.reconcile.camera import pods
from vigil_operator.reconcile.camera.admission import Admission
from vigil_operator.reconcile.camera.children import Children, Outcome, of_an_earlier
from vigil_operator.reconcile.camera.conditions import SILENCE_S, Known, Problem, judge
from vigil_operator.reconcile.camera.edited_pods import EditedPods, is_let_go
from vigil_operator.reconcile.camera.foreign_installations import Claim, Neighbours
from vigil_operator.reconcile.camera.heartbeat_attribution import Voices
from vigil_operator.reconcile.camera.registrations import Registrations
from vigil_operator.reconcile.camera.wiring import Resolved, parse, resolve
from vigil_operator.reconcile.context import Result, World
from vigil_operator.reconcile.rate_limit import Pace
from vigil_operator.reconcile.status_writer import StatusWriter
from vigil_operator.resources.camera import children
from vigil_operator.resources.names import child_name
from vigil_operator.routes import BY_CAMERA, site_of

FIRST_AGAIN_S: Final = 1.0
MOST_AGAIN_S: Final = 60.0
"""What an earlier Camera of the same name left goes by itself, and quotas and policies change without telling."""
COLLECTED_S: Final = 30.0
"""For the garbage collector to remove what a deleted Camera owned."""
QUIET_STEPS: Final = frozenset({Reason.POD_PENDING, Reason.STARTING, SourceReason.CONNECTING})
"""Steps on the way up: in the status, but no events; a thousand Cameras that start would write two thousand."""
QUIET_PER_S: Final = 5.0
QUIET_AT_ONCE: Final = 20.0
"""So many statuses tell of Cameras on their way up, in all. One costs the API server nearly as much as all children of
a Camera (10 ms and 12 ms of a core), and is overtaken in seconds: a thousand Cameras start sooner without.
"""
REWORD_S: Final = 5.0
"""A status of which only words differ, such as a pod's progress, is written at most so often."""
CALM: Final = QUIET_STEPS | {Reason.STREAMING, Reason.SUSPENDED}
"""Reasons of Ready that are no cause for a warning."""


class CameraReconciler:
    """Keeps one stream pod per Camera.

    Parameters
    ----------
    registrations
        None: the operator was told of no registry.
    """

    def __init__(self, world: World, registrations: Registrations | None) -> None:
        self._world = world
        self._neighbours = Neighbours(world)
        self._children = Children(world, self._neighbours)
        self._registrations = registrations
        self._admission = Admission(world.cache, world.heartbeats, world.queue.add)
        self._reasons: dict[Key, str] = {}
        self._written: dict[Key, float] = {}
        self._statuses = StatusWriter(world, "Reconcile", calm=CALM, quiet=QUIET_STEPS)
        self._quiet: Pace[Key] = Pace(QUIET_PER_S, QUIET_AT_ONCE)
        self._again: Backoff[Key] = Backoff(FIRST_AGAIN_S, MOST_AGAIN_S)
        self._orphaned: dict[Key, float] = {}
        self._edited = EditedPods(world.api.delete, world.api.get)
        self._voices = Voices()

    async def reconcile(self, key: Key) -> Result:
        """Bring one Camera to what it asks for."""
        obj = self._world.cache.get(key)
        if obj is None or "deletionTimestamp" in obj["metadata"]:
            return await self._leave(key, obj)
        self._orphaned.pop(key, None)
        claim = await self._neighbours.claim(key, obj)
        if claim is not None:
            return await self._leave_to(key, obj, claim)
        camera = parse(obj)
        if isinstance(camera, Problem):
            # What runs goes on as it is: nobody asked for its end.
            return await self._report(key, obj, camera, site_of(obj, self._world.settings), Outcome())
        resolved = self._admit(key, resolve(camera, obj, self._world.cache, self._world.settings))
        wanted, kept = self._wanted(key, resolved)
        if (deployment := self._deployment(key)) is not None:
            self._edited.see(key, deployment["spec"]["template"], self._pods(key))
        outcome = await self._children.bring(obj, key, wanted, kept)
        outcome.changed |= await self._replace_edited_pods(key)
        problem = outcome.problem or resolved.problem
        if self._registrations is not None:
            self._registrations.wish(key)
        return await self._report(key, obj, problem, resolved.site_name, outcome, camera)

    async def close(self) -> None:
        """Nothing is held."""

    async def _leave_to(self, key: Key, obj: Object, claim: Claim) -> Result:
        """Leave a Camera to another installation; of the two only one may tell how it is."""
        self._admission.stand_aside(key)
        if claim.silent:
            self._count(key, claim.problem.reason)
            return Result("Waiting", self._again.next_s(key))
        return await self._report(key, obj, claim.problem, site_of(obj, self._world.settings), Outcome(waiting=True))

    async def _leave(self, key: Key, obj: Object | None) -> Result:
        self._admission.free(key)
        if obj is not None:
            return Result("Gone")  # on its way; the watch tells when it is gone
        self._neighbours.forget(key)
        self._world.heartbeats.forget(ResourceKey(key.namespace, key.name))
        self._count(key, None)
        self._written.pop(key, None)
        self._statuses.forget(key)
        self._quiet.forget(key)
        self._again.forget(key)
        self._edited.forget(key)
        self._voices.forget(key)
        if self._registrations is not None:
            self._registrations.wish(key)
        return Result("Gone", await self._remove_orphans(key))

    async def _remove_orphans(self, key: Key) -> float | None:
        """Remove what Kubernetes' garbage collector leaves, such as when the CRD itself was removed."""
        left = self._children.of(key) + self._let_go(key)
        if not left:
            self._orphaned.pop(key, None)
            return None
        waited_s = time.monotonic() - self._orphaned.setdefault(key, time.monotonic())
        if waited_s < COLLECTED_S:
            return COLLECTED_S - waited_s + 0.5
        if await self._is_gone(key):
            for child in left:
                await self._world.api.delete(child)
        return COLLECTED_S

    async def _is_gone(self, key: Key) -> bool:
        """Ask whether a Camera that is no longer seen was deleted; a kind that is not served for a while was not."""
        try:
            return await self._world.api.is_gone(key)
        except AwayError:
            return False

    def _admit(self, key: Key, resolved: Resolved) -> Resolved:
        if resolved.camera.spec.suspend:
            self._admission.free(key)
            return replace(resolved, problem=None)  # what would be in its way is in nobody's way now
        if resolved.problem is not None:
            self._admission.stand_aside(key)
            return resolved
        name, capacities = resolved.site_name, self._world.capacities
        decision = self._admission.decide(key, name, capacities.get(name), known=capacities.is_known(name))
        if decision is None or decision.admitted:
            return resolved
        problem = Problem(Reason.INSUFFICIENT_INFERENCE_CAPACITY, str(decision), permanent=False)
        return replace(resolved, problem=problem, wiring=replace(resolved.wiring, replicas=0))

    def _wanted(self, key: Key, resolved: Resolved) -> tuple[list[tuple[Kind, Object]], set[Kind]]:
        """Give the children to bring about, and the kinds that are left as they are.

        What runs goes on running while something is in the way of its Deployment: nobody asked for its end.
        """
        wanted = children(resolved.camera, resolved.wiring)
        problem = resolved.problem
        waits_for_room = problem is not None and problem.reason is Reason.INSUFFICIENT_INFERENCE_CAPACITY
        if problem is None or (waits_for_room and self._deployment(key) is not None):
            return wanted, set()
        return [(kind, manifest) for kind, manifest in wanted if kind is not Kind.DEPLOYMENT], {Kind.DEPLOYMENT}

    async def _replace_edited_pods(self, key: Key) -> bool:
        deployment = self._deployment(key)
        template = deployment["spec"]["template"] if deployment is not None else None
        return await self._edited.replace(key, template, self._pods(key))

    async def _report(
        self,
        key: Key,
        obj: Object,
        problem: Problem | None,
        site: str,
        outcome: Outcome,
        camera: Camera | None = None,
    ) -> Result:
        there, deployment = self._pods(key), self._deployment(key)
        pod = pods.newest(there)
        last = self._world.heartbeats.get(ResourceKey(key.namespace, key.name))
        heard, ask_s = self._voices.of_newest(key, there, last)
        if deployment is not None and of_an_earlier(deployment, obj):
            deployment = None  # and neither it nor its pods tell of this Camera
        known = Known(
            problem=problem,
            suspended=camera is not None and camera.spec.suspend,
            pod=pods.facts(pod, deployment) if deployment is not None else None,
            heard=heard,
            bus_trouble=self._world.heartbeats.bus_trouble(site, key.namespace),
            pod_age_s=self._running_s(pod),
        )
        generation = int(obj["metadata"].get("generation") or 0)
        seen = statuses.status_of(obj)
        made = statuses.conditions(seen, judge(known), generation, self._world.now())
        status: Object = {"observedGeneration": generation, "conditions": made, "site": site}
        if heard is not None and not heard.stale and _runs(known) and heard.beat.inference_endpoint:
            status["endpoint"] = heard.beat.inference_endpoint
        self._count(key, next(one["reason"] for one in made if one["type"] == CameraCondition.READY))
        wrote, later_s = await self._write(key, obj, seen, status)
        waits = [wait for wait in (self._again_s(key, known, outcome), later_s, ask_s) if wait is not None]
        return Result("Changed" if outcome.changed or wrote else "Unchanged", min(waits, default=None))

    async def _write(self, key: Key, obj: Object, seen: Object, status: Object) -> tuple[bool, float | None]:
        """Write the status; gives whether it did, and the seconds after which to look again when that can wait."""
        if not self._statuses.is_due(key, obj, status):
            self._quiet.forget(key)
            return False, None
        later_s = self._later_s(key, seen, status)
        if later_s > 0:
            return False, later_s
        result = await self._statuses.write(key, obj, status)
        wrote = result.outcome == "Changed"
        if wrote:
            self._written[key] = time.monotonic()
        return wrote, result.again_s

    def _later_s(self, key: Key, seen: Object, status: Object) -> float:
        """Give the seconds for which a status can wait; 0 when it is to be written now."""
        since_s = time.monotonic() - self._written.get(key, -REWORD_S)
        if since_s < REWORD_S and not _means_more(seen, status):
            return REWORD_S - since_s
        if _is_quiet(seen, status):
            return self._quiet.wait_s(key)
        self._quiet.forget(key)
        return 0.0

    def _again_s(self, key: Key, known: Known, outcome: Outcome) -> float | None:
        """Say when time alone may change the verdict."""
        waits = []
        if outcome.waiting or outcome.problem is not None:
            waits.append(self._again.next_s(key))
        else:
            self._again.forget(key)
        if _runs(known):
            waits += _until_silent_s(known.heard, known.pod_age_s)
        return min(waits, default=None)

    def _running_s(self, pod: Object | None) -> float:
        container = pods.stream_status(pod) or {}
        started = ((container.get("state") or {}).get("running") or {}).get("startedAt")
        try:
            since = dt.datetime.fromisoformat(str(started))
        except ValueError:
            return 0.0
        return max(0.0, (self._world.now() - since).total_seconds())

    def _deployment(self, key: Key) -> Object | None:
        return self._world.cache.get(Key(Kind.DEPLOYMENT, key.namespace, child_name(key.name)))

    def _pods(self, key: Key) -> list[Object]:
        return self._world.cache.find(Kind.POD, BY_CAMERA, key.namespace, key.name)

    def _let_go(self, key: Key) -> list[Key]:
        """Give the pods that nothing removes with their Deployment."""
        left = [pod["metadata"] for pod in self._pods(key) if is_let_go(key, pod)]
        return [Key(Kind.POD, key.namespace, one["name"]) for one in left if "deletionTimestamp" not in one]

    def _count(self, key: Key, reason: str | None) -> None:
        before = self._reasons.pop(key, None)
        if before is not None:
            self._world.metrics.cameras.labels(before).dec()
        if reason is not None:
            self._reasons[key] = reason
            self._world.metrics.cameras.labels(reason).inc()


def _runs(known: Known) -> bool:
    return known.pod is not None and known.pod.trouble is None and not known.suspended


def _until_silent_s(heard: Heard | None, pod_age_s: float) -> list[float]:
    """Give the time that a young pod has to be heard; a camera that falls silent later is told by the heartbeats."""
    silent = heard is None or heard.stale
    return [SILENCE_S - pod_age_s + 0.5] if silent and pod_age_s < SILENCE_S else []


def _means_more(seen: Object, status: Object) -> bool:
    """Say whether more than words differs."""
    made = status["conditions"]
    return seen.get("observedGeneration") != status["observedGeneration"] or any(
        statuses.transition(seen, made, one["type"]) is not None for one in made
    )


def _is_quiet(seen: Object, status: Object) -> bool:
    """Say whether a status only tells how far a Camera on its way up has come."""
    ready = {one.get("type"): one for one in statuses.entries(seen, "conditions")}.get(CameraCondition.READY, {})
    made = next(one for one in status["conditions"] if one["type"] == CameraCondition.READY)
    return made["reason"] in QUIET_STEPS and ready.get("reason") in {None, *QUIET_STEPS}
