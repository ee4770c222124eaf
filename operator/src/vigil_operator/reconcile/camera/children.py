"""Apply the children of a Camera that differ from what is wanted, and delete those that are no longer wanted.

The first apply of a change takes no field from other field managers; fields that they hold are taken over by a second
apply, and an event names the managers. When another manager takes a field back again and again, the Camera reports it
and the operator waits longer and longer, up to a minute. Objects that are not Vigil's are left as they are, whatever
their name: as children they would be deleted with the Camera.
"""

from dataclasses import dataclass

import structlog

from vigil_contracts.conditions import CameraReason as Reason
from vigil_operator.kube.compare import holds
from vigil_operator.kube.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from vigil_operator.kube.kinds import CHILD_KINDS, Key, Kind, Object
from vigil_operator.kube.trim import trim
from vigil_operator.reconcile.camera.conditions import Problem
from vigil_operator.reconcile.camera.foreign_installations import DECIDING, ForeignInstallations
from vigil_operator.reconcile.conflicts import ConflictLimiter
from vigil_operator.reconcile.context import ReconcileContext
from vigil_operator.resources.names import APPLIED_HASH, MANAGED_BY, OPERATOR
from vigil_operator.routes import BY_CAMERA

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Outcome:
    """The result of applying and deleting children.

    Attributes
    ----------
    waiting
        A child of an earlier Camera of this name is still being deleted, or another installation was first.
    """

    changed: bool = False
    waiting: bool = False
    problem: Problem | None = None


class Children:
    """Applies and prunes the children of Cameras."""

    def __init__(self, context: ReconcileContext, foreign: ForeignInstallations) -> None:
        self._context = context
        self._foreign = foreign

    async def reconcile(
        self,
        camera: Object,
        key: Key,
        wanted: list[tuple[Kind, Object]],
        kept: set[Kind],
        conflicts: dict[Kind, ConflictLimiter],
    ) -> Outcome:
        """Apply what differs and delete what is not wanted; raise KubeError when another attempt may help.

        Parameters
        ----------
        kept
            Kinds that are left as they are, whether they are there or not.
        conflicts
            The fields taken back from other field managers, by kind; remembered until the Camera is gone.
        """
        outcome = Outcome()
        # One after another, what the pod needs first: workers that each hold one connection keep it; more of them would
        # cost a TLS handshake each.
        for kind, manifest in sorted(wanted, key=lambda one: one[0] is Kind.DEPLOYMENT):
            if self._foreign.owner(key) is not None:
                # Another installation began at the same moment; the next reconcile leaves the Camera alone.
                outcome.waiting = True
                return outcome
            if kind is not Kind.DEPLOYMENT or (not outcome.waiting and outcome.problem is None):
                await self._reconcile_one(camera, key, kind, manifest, outcome, conflicts)
        if outcome.waiting or outcome.problem is not None:
            return outcome
        names = {(kind, manifest["metadata"]["name"]) for kind, manifest in wanted}
        await self._prune(camera, key, names, kept, outcome)
        return outcome

    def of(self, key: Key) -> list[Key]:
        """Return the children of a Camera that are there and not being deleted."""
        return [
            Key(kind, key.namespace, obj["metadata"]["name"])
            for kind in CHILD_KINDS
            for obj in self._context.cache.find(kind, BY_CAMERA, key.namespace, key.name)
            if "deletionTimestamp" not in obj["metadata"]
            and any(one.get("kind") == "Camera" for one in obj["metadata"].get("ownerReferences") or [])
        ]

    async def _reconcile_one(
        self,
        camera: Object,
        key: Key,
        kind: Kind,
        manifest: Object,
        outcome: Outcome,
        conflicts: dict[Kind, ConflictLimiter],
    ) -> None:
        child = Key(kind, key.namespace, manifest["metadata"]["name"])
        seen = self._context.cache.get(child)
        if seen is not None and not _is_ours(seen, camera):
            outcome.problem = outcome.problem or _not_ours(child)
        elif seen is not None and "deletionTimestamp" in seen["metadata"]:
            outcome.waiting = True
        elif seen is not None and is_of_earlier_camera(seen, camera):
            log.info("deleting a child of an earlier Camera of this name", child=str(child))
            await self._context.api.delete(child)
            outcome.waiting = outcome.changed = True
        elif seen is None or not is_applied(kind, seen, manifest):
            problem = await self._apply(camera, key, child, manifest, conflicts)
            outcome.problem = outcome.problem or problem
            outcome.changed = True

    async def _apply(
        self, camera: Object, key: Key, child: Key, manifest: Object, conflicts: dict[Kind, ConflictLimiter]
    ) -> Problem | None:
        try:
            unseen = await self._unseen(child)
            if unseen is not None and not _is_ours(unseen, camera):
                return _not_ours(child)
            if unseen is not None and child.kind in DECIDING and self._foreign.maker(unseen) is not None:
                if _is_watched(unseen):  # else no watch would report its deletion
                    self._context.cache.put(child.kind, unseen)
                return None
            await self._apply_or_take_over(camera, key, child, manifest, conflicts)
        except ConflictError as error:
            return Problem(Reason.APPLY_CONFLICT, f"{child.kind} {child.name}: {error}")
        except (DeniedError, InvalidError) as error:
            return Problem(Reason.APPLY_FORBIDDEN, f"{child.kind} {child.name}: {error}")
        except NotFoundError as error:
            if child.kind is not Kind.POD_MONITOR:
                raise  # the namespace is being deleted, with everything in it
            message = (
                f"there are no PodMonitors here; install the Prometheus Operator or set monitoring to None: {error}"
            )
            return Problem(Reason.APPLY_FORBIDDEN, message)
        return None

    async def _apply_or_take_over(
        self, camera: Object, key: Key, child: Key, manifest: Object, conflicts: dict[Kind, ConflictLimiter]
    ) -> None:
        try:
            await self._context.api.apply(child.kind, manifest, force=False)
        except ConflictError as error:
            limiter = conflicts.setdefault(child.kind, ConflictLimiter())
            if limiter.left_s() > 0:
                msg = (
                    f"another field manager keeps changing fields of the operator ({error}); stop it from writing them"
                )
                raise ConflictError(msg, error.fields) from error
            await self._context.api.apply(child.kind, manifest, force=True)
            limiter.note()
            note = (
                f"{child.kind} {child.name}: taken back what another field manager changed: {'; '.join(error.fields)}"
            )
            log.info("taken back", child=str(child), fields=list(error.fields))
            await self._context.events.write(camera, key, "Normal", "TakenBack", note, "Reconcile")

    async def _unseen(self, child: Key) -> Object | None:
        """Return an object that no watch has reported: it lacks our labels, or it is new."""
        if self._context.cache.get(child) is not None:
            return None
        try:
            return await self._context.api.get(child)
        except NotFoundError:
            return None

    async def _prune(
        self, camera: Object, key: Key, wanted: set[tuple[Kind, str]], kept: set[Kind], outcome: Outcome
    ) -> None:
        for kind in (kind for kind in CHILD_KINDS if kind not in kept):
            for obj in self._context.cache.find(kind, BY_CAMERA, key.namespace, key.name):
                name = obj["metadata"]["name"]
                if (kind, name) in wanted or "deletionTimestamp" in obj["metadata"] or not _owned(obj, camera):
                    continue
                await self._context.api.delete(Key(kind, key.namespace, name))
                outcome.changed = True


def is_applied(kind: Kind, seen: Object, manifest: Object) -> bool:
    """Return whether an object is as a manifest wants it, and was applied from that very manifest."""
    metadata = seen["metadata"]
    was = (metadata.get("annotations") or {}).get(APPLIED_HASH)
    if was != manifest["metadata"]["annotations"][APPLIED_HASH]:
        return False
    wanted = trim(kind, manifest)
    wanted.pop("status", None)  # what the object reports, which no manifest wants
    return holds(seen, wanted)


def _owned(obj: Object, camera: Object) -> bool:
    return any(one.get("uid") == camera["metadata"].get("uid") for one in obj["metadata"].get("ownerReferences") or [])


def _is_watched(obj: Object) -> bool:
    return (obj["metadata"].get("labels") or {}).get(MANAGED_BY) == OPERATOR


def _is_ours(obj: Object, camera: Object) -> bool:
    return _is_watched(obj) or _owned(obj, camera)


def _not_ours(child: Key) -> Problem:
    message = f"{child.kind} {child.name}: one of that name is there already and is not Vigil's"
    return Problem(Reason.APPLY_CONFLICT, f"{message}; remove it, or rename the Camera")


def is_of_earlier_camera(seen: Object, camera: Object) -> bool:
    """Return whether a child belongs to an earlier Camera of the same name."""
    owners = seen["metadata"].get("ownerReferences") or []
    return bool(owners) and not _owned(seen, camera)
