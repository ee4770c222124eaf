"""Reconcile Cameras: one stream pod each, and its state in the status."""

import datetime as dt
import time
from dataclasses import replace
from typing import Final

from vigil_contracts.conditions import CameraCondition, SourceReason
from vigil_contracts.conditions import CameraReason as Reason
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources import Camera
from vigil_operator.bus.heartbeats import LastHeartbeat
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile import conditions as statuses
from vigil_operator.reconcile.camera import pods
from vigil_operator.reconcile.camera.admission import Admission
from vigil_operator.reconcile.camera.children import Children, Outcome, is_of_earlier_camera
from vigil_operator.reconcile.camera.conditions import SILENCE_S, CameraFacts, Problem, condition_updates
from vigil_operator.reconcile.camera.edited_pods import EditedPods
from vigil_operator.reconcile.camera.foreign_installations import Claim, ForeignInstallations
from vigil_operator.reconcile.camera.memory import CameraMemories, CameraMemory
from vigil_operator.reconcile.camera.orphans import Orphans
from vigil_operator.reconcile.camera.registration import RegistrationQueue
from vigil_operator.reconcile.camera.wiring import Resolved, parse, resolve
from vigil_operator.reconcile.context import ReconcileContext, Result
from vigil_operator.reconcile.rate_limit import RateLimit
from vigil_operator.reconcile.status_writer import StatusWriter, is_due
from vigil_operator.resources.camera import children
from vigil_operator.resources.names import child_name
from vigil_operator.routes import BY_CAMERA, site_of

QUIET_STEPS: Final = frozenset({Reason.POD_PENDING, Reason.STARTING, SourceReason.CONNECTING})
"""Steps of a start: in the status, but without events; a thousand Cameras that start would write two thousand."""
QUIET_PER_S: Final = 5.0
QUIET_BURST: Final = 20.0
"""Rate of the statuses of starting Cameras, in all. One costs the API server nearly as much as all children of a Camera
(10 ms and 12 ms of a core), and is outdated in seconds: a thousand Cameras start sooner without.
"""
REWORD_S: Final = 5.0
"""A status of which only words differ, such as a pod's progress, is written at most so often."""
ENDING: Final = frozenset({Reason.INSUFFICIENT_INFERENCE_CAPACITY, Reason.SECRET_NOT_READABLE})
"""Problems for which a pod that runs is ended."""
CALM: Final = QUIET_STEPS | {Reason.STREAMING, Reason.SUSPENDED}
"""Reasons of Ready that cause no warning."""


class CameraReconciler:
    """Keeps one stream pod per Camera.

    Parameters
    ----------
    registrations
        None: the operator has no registry.
    """

    def __init__(
        self, context: ReconcileContext, memories: CameraMemories, registrations: RegistrationQueue | None
    ) -> None:
        self._context = context
        self._memories = memories
        self._registrations = registrations
        self._foreign = ForeignInstallations(context)
        self._children = Children(context, self._foreign)
        self._orphans = Orphans(context, self._children)
        self._admission = Admission(context.cache, context.heartbeats, memories, context.queue.add)
        self._statuses = StatusWriter(context, "Reconcile", calm=CALM, quiet=QUIET_STEPS)
        self._quiet: RateLimit[Key] = RateLimit(QUIET_PER_S, QUIET_BURST)
        self._edited = EditedPods(context.api.delete, context.api.get)

    async def reconcile(self, key: Key) -> Result:
        """Bring one Camera to what its spec asks for."""
        obj = self._context.cache.get(key)
        if obj is None:
            return await self._clean_up(key)
        if "deletionTimestamp" in obj["metadata"]:
            self._admission.free(key)
            return Result("Gone")  # it is being deleted; the watch reports when it is gone
        self._orphans.forget(key)
        memory = self._memories.of(key)
        claim = await self._foreign.claim(key, obj, memory.claim)
        if claim is not None:
            return await self._leave_to(key, obj, claim, memory)
        camera = parse(obj)
        if isinstance(camera, Problem):
            # A running pod goes on as it is: its end was not asked for.
            return await self._report(key, obj, camera, site_of(obj, self._context.settings), Outcome(), memory)
        resolved = self._admit(key, resolve(camera, obj, self._context.cache, self._context.settings))
        wanted, kept = self._wanted(key, resolved)
        if (deployment := self._deployment(key)) is not None:
            memory.pods.observe(deployment["spec"]["template"], self._pods(key))
        outcome = await self._children.reconcile(obj, key, wanted, kept, memory.conflicts)
        outcome.changed |= await self._replace_edited_pods(key, memory)
        problem = outcome.problem or resolved.problem
        if self._registrations is not None:
            self._registrations.request(key)
        return await self._report(key, obj, problem, resolved.site_name, outcome, memory, camera)

    async def close(self) -> None:
        """Nothing is held."""

    async def _leave_to(self, key: Key, obj: Object, claim: Claim, memory: CameraMemory) -> Result:
        """Leave a Camera to another installation; only one of the two may write its status."""
        self._admission.withhold(key)
        if claim.silent:
            self._count(memory, claim.problem.reason)
            return Result("Waiting", memory.backoff.next_s())
        site = site_of(obj, self._context.settings)
        return await self._report(key, obj, claim.problem, site, Outcome(waiting=True), memory)

    async def _clean_up(self, key: Key) -> Result:
        """Forget a Camera that is gone, have it removed from identity, and delete what it left."""
        self._admission.free(key)
        memory = self._memories.drop(key)
        if memory is not None:
            self._count(memory, None)
        self._quiet.forget(key)
        self._context.heartbeats.forget(ResourceKey(key.namespace, key.name))
        if self._registrations is not None:
            self._registrations.request(key)
        return Result("Gone", await self._orphans.delete(key))

    def _admit(self, key: Key, resolved: Resolved) -> Resolved:
        if resolved.camera.spec.suspend:
            self._admission.free(key)
            return replace(resolved, problem=None)  # a problem of a pod that is not wanted is none
        if resolved.problem is not None:
            self._admission.withhold(key)
            if resolved.problem.reason is Reason.SECRET_NOT_READABLE:  # a pod that runs has its values
                return replace(resolved, wiring=replace(resolved.wiring, replicas=0))
            return resolved
        name, capacities = resolved.site_name, self._context.capacities
        decision = self._admission.decide(key, name, capacities.get(name), known=capacities.is_known(name))
        if decision is None or decision.admitted:
            return resolved
        problem = Problem(Reason.INSUFFICIENT_INFERENCE_CAPACITY, str(decision), permanent=False)
        return replace(resolved, problem=problem, wiring=replace(resolved.wiring, replicas=0))

    def _wanted(self, key: Key, resolved: Resolved) -> tuple[list[tuple[Kind, Object]], set[Kind]]:
        """Return the children to apply, and the kinds that are left as they are.

        A Deployment goes on as it is while there is a problem, unless its pod has to end: for most its end was not
        asked for.
        """
        wanted = children(resolved.camera, resolved.wiring)
        problem = resolved.problem
        if problem is None or (problem.reason in ENDING and self._deployment(key) is not None):
            return wanted, set()
        return [(kind, manifest) for kind, manifest in wanted if kind is not Kind.DEPLOYMENT], {Kind.DEPLOYMENT}

    async def _replace_edited_pods(self, key: Key, memory: CameraMemory) -> bool:
        deployment = self._deployment(key)
        template = deployment["spec"]["template"] if deployment is not None else None
        return await self._edited.replace(key, memory.pods, template, self._pods(key))

    async def _report(
        self,
        key: Key,
        obj: Object,
        problem: Problem | None,
        site: str,
        outcome: Outcome,
        memory: CameraMemory,
        camera: Camera | None = None,
    ) -> Result:
        there, deployment = self._pods(key), self._deployment(key)
        pod = pods.newest(there)
        last = self._context.heartbeats.get(ResourceKey(key.namespace, key.name))
        heartbeat, attribution_s = memory.heartbeats.attribute(there, last)
        if deployment is not None and is_of_earlier_camera(deployment, obj):
            deployment = None  # neither it nor its pods belong to this Camera
        bus_problem = self._context.heartbeats.bus_problem(site, key.namespace)
        facts = CameraFacts(
            problem=problem,
            suspended=camera is not None and camera.spec.suspend,
            pod=pods.facts(pod, deployment) if deployment is not None else None,
            heartbeat=heartbeat,
            bus_problem=bus_problem.message if bus_problem is not None else "",
            pod_age_s=self._running_s(pod),
        )
        status = self._status(obj, facts, site)
        ready = next(one for one in status["conditions"] if one["type"] == CameraCondition.READY)
        self._count(memory, ready["reason"])
        wrote, later_s = await self._write(key, obj, status, memory)
        waits = [wait for wait in (_again_s(facts, outcome, memory), later_s, attribution_s) if wait is not None]
        return Result("Changed" if outcome.changed or wrote else "Unchanged", min(waits, default=None))

    def _status(self, obj: Object, facts: CameraFacts, site: str) -> Object:
        generation = int(obj["metadata"].get("generation") or 0)
        made = statuses.conditions(statuses.status_of(obj), condition_updates(facts), generation, self._context.now())
        status: Object = {"observedGeneration": generation, "conditions": made, "site": site}
        heartbeat = facts.heartbeat
        if heartbeat is not None and not heartbeat.stale and _runs(facts) and heartbeat.beat.inference_endpoint:
            status["endpoint"] = heartbeat.beat.inference_endpoint
        return status

    async def _write(self, key: Key, obj: Object, status: Object, memory: CameraMemory) -> tuple[bool, float | None]:
        """Write the status; return whether it was written, and when to look again, in seconds, if it can wait."""
        if not is_due(obj, status, memory.status):
            self._quiet.forget(key)
            return False, None
        later_s = self._later_s(key, statuses.status_of(obj), status, memory)
        if later_s > 0:
            return False, later_s
        result = await self._statuses.write(key, obj, status, memory.status)
        wrote = result.outcome == "Changed"
        if wrote:
            memory.written_at = time.monotonic()
        return wrote, result.again_s

    def _later_s(self, key: Key, seen: Object, status: Object, memory: CameraMemory) -> float:
        """Return the seconds for which a status can wait; 0 when it is to be written now."""
        since_s = time.monotonic() - memory.written_at
        if since_s < REWORD_S and not _means_more(seen, status):
            return REWORD_S - since_s
        if _is_quiet(seen, status):
            return self._quiet.wait_s(key)
        self._quiet.forget(key)
        return 0.0

    def _running_s(self, pod: Object | None) -> float:
        container = pods.stream_status(pod) or {}
        started = ((container.get("state") or {}).get("running") or {}).get("startedAt")
        try:
            since = dt.datetime.fromisoformat(str(started))
        except ValueError:
            return 0.0
        return max(0.0, (self._context.now() - since).total_seconds())

    def _deployment(self, key: Key) -> Object | None:
        return self._context.cache.get(Key(Kind.DEPLOYMENT, key.namespace, child_name(key.name)))

    def _pods(self, key: Key) -> list[Object]:
        return self._context.cache.find(Kind.POD, BY_CAMERA, key.namespace, key.name)

    def _count(self, memory: CameraMemory, reason: str | None) -> None:
        """Count a Camera under the reason of its condition Ready; None: no longer."""
        before, memory.reason = memory.reason, reason
        if before is not None:
            self._context.metrics.cameras.labels(before).dec()
        if reason is not None:
            self._context.metrics.cameras.labels(reason).inc()


def _again_s(facts: CameraFacts, outcome: Outcome, memory: CameraMemory) -> float | None:
    """Return the seconds after which time alone may change the conditions."""
    waits = []
    if outcome.waiting or outcome.problem is not None:
        waits.append(memory.backoff.next_s())
    else:
        memory.backoff.reset()
    if _runs(facts):
        waits += _until_silent_s(facts.heartbeat, facts.pod_age_s)
    return min(waits, default=None)


def _runs(facts: CameraFacts) -> bool:
    return facts.pod is not None and facts.pod.reason is None and not facts.suspended


def _until_silent_s(heartbeat: LastHeartbeat | None, pod_age_s: float) -> list[float]:
    """Return the time a young pod has to send its first heartbeat; later silence is reported by the heartbeats."""
    silent = heartbeat is None or heartbeat.stale
    return [SILENCE_S - pod_age_s + 0.5] if silent and pod_age_s < SILENCE_S else []


def _means_more(seen: Object, status: Object) -> bool:
    """Return whether more than words differs."""
    made = status["conditions"]
    return seen.get("observedGeneration") != status["observedGeneration"] or any(
        statuses.transition(seen, made, one["type"]) is not None for one in made
    )


def _is_quiet(seen: Object, status: Object) -> bool:
    """Return whether a status only shows how far a starting Camera has come."""
    ready = {one.get("type"): one for one in statuses.entries(seen, "conditions")}.get(CameraCondition.READY, {})
    made = next(one for one in status["conditions"] if one["type"] == CameraCondition.READY)
    return made["reason"] in QUIET_STEPS and ready.get("reason") in {None, *QUIET_STEPS}
