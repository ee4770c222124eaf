"""Bring what a Camera owns to what is wanted: apply what differs, remove what is no longer wanted.

The first apply of a change takes nothing from other field managers; what they hold is then taken over knowingly, and
an event tells from whom. Who takes it back again and again is not fought for ever: the Camera says so and the operator
waits longer and longer, up to a minute. What is not Vigil's is left as it is, whatever its name: the Camera's ownership
would have it deleted with the Camera.
"""

from dataclasses import dataclass

import structlog

from vigil_contracts.conditions import CameraReason as Reason
from vigil_operator.kube.compare import holds
from vigil_operator.kube.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from vigil_operator.kube.kinds import CHILD_KINDS, Key, Kind, Object
from vigil_operator.kube.trim import trim
from vigil_operator.reconcile.camera.conditions import Problem
from vigil_operator.reconcile.camera.foreign_installations import DECIDING, Neighbours
from vigil_operator.reconcile.conflicts import Quarrels
from vigil_operator.reconcile.context import World
from vigil_operator.resources.names import APPLIED_HASH, MANAGED_BY, OPERATOR
from vigil_operator.routes import BY_CAMERA

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Outcome:
    """What came of bringing the children about.

    Attributes
    ----------
    waiting
        Something of an earlier Camera of this name is still on its way out, or another installation came first.
    """

    changed: bool = False
    waiting: bool = False
    problem: Problem | None = None


class Children:
    """Applies and prunes the children of Cameras."""

    def __init__(self, world: World, neighbours: Neighbours) -> None:
        self._world = world
        self._neighbours = neighbours
        self._quarrels: Quarrels[Key] = Quarrels()

    async def bring(self, camera: Object, key: Key, wanted: list[tuple[Kind, Object]], kept: set[Kind]) -> Outcome:
        """Apply what differs and remove what is not wanted; KubeError when trying again may help.

        Parameters
        ----------
        kept
            Kinds that are left as they are, there or not.
        """
        outcome = Outcome()
        # One after another, what the pod needs first: workers that each hold one connection keep it; more of them would
        # cost a TLS handshake each.
        for kind, manifest in sorted(wanted, key=lambda one: one[0] is Kind.DEPLOYMENT):
            if self._neighbours.owner(key) is not None:
                outcome.waiting = (
                    True  # another installation began at the same moment; the next reconcile leaves it alone
                )
                return outcome
            if kind is not Kind.DEPLOYMENT or (not outcome.waiting and outcome.problem is None):
                await self._bring_one(camera, key, kind, manifest, outcome)
        if outcome.waiting or outcome.problem is not None:
            return outcome
        names = {(kind, manifest["metadata"]["name"]) for kind, manifest in wanted}
        await self._prune(camera, key, names, kept, outcome)
        return outcome

    def of(self, key: Key) -> list[Key]:
        """Give the children of a Camera that are there and not on their way out."""
        return [
            Key(kind, key.namespace, obj["metadata"]["name"])
            for kind in CHILD_KINDS
            for obj in self._world.cache.find(kind, BY_CAMERA, key.namespace, key.name)
            if "deletionTimestamp" not in obj["metadata"]
            and any(one.get("kind") == "Camera" for one in obj["metadata"].get("ownerReferences") or [])
        ]

    async def _bring_one(self, camera: Object, key: Key, kind: Kind, manifest: Object, outcome: Outcome) -> None:
        child = Key(kind, key.namespace, manifest["metadata"]["name"])
        seen = self._world.cache.get(child)
        if seen is not None and not _is_ours(seen, camera):
            outcome.problem = outcome.problem or _not_ours(child)
        elif seen is not None and "deletionTimestamp" in seen["metadata"]:
            outcome.waiting = True
        elif seen is not None and of_an_earlier(seen, camera):
            log.info("removing what an earlier Camera of this name left", child=str(child))
            await self._world.api.delete(child)
            outcome.waiting = outcome.changed = True
        elif seen is None or not is_applied(kind, seen, manifest):
            problem = await self._apply(camera, key, child, manifest)
            outcome.problem = outcome.problem or problem
            outcome.changed = True

    async def _apply(self, camera: Object, key: Key, child: Key, manifest: Object) -> Problem | None:
        try:
            unseen = await self._unseen(child)
            if unseen is not None and not _is_ours(unseen, camera):
                return _not_ours(child)
            if unseen is not None and child.kind in DECIDING and self._neighbours.stamp(unseen) is not None:
                if _is_seen(unseen):  # else no watch would tell when it goes
                    self._world.cache.put(child.kind, unseen)
                return None
            await self._apply_knowingly(camera, key, child, manifest)
        except ConflictError as error:
            told = f"{child.kind} {child.name}: {error}"
            return Problem(Reason.APPLY_CONFLICT, told)
        except (DeniedError, InvalidError) as error:
            return Problem(Reason.APPLY_FORBIDDEN, f"{child.kind} {child.name}: {error}")
        except NotFoundError as error:
            if child.kind is not Kind.POD_MONITOR:
                raise  # the namespace is going: whatever is in it goes, too
            told = f"there are no PodMonitors here; install the Prometheus Operator or set monitoring to None: {error}"
            return Problem(Reason.APPLY_FORBIDDEN, told)
        return None

    async def _apply_knowingly(self, camera: Object, key: Key, child: Key, manifest: Object) -> None:
        try:
            await self._world.api.apply(child.kind, manifest, force=False)
        except ConflictError as error:
            self._refuse_quarrel(child, error)
            await self._world.api.apply(child.kind, manifest, force=True)
            self._quarrels.note(child)
            note = (
                f"{child.kind} {child.name}: taken back what another field manager changed: {'; '.join(error.fields)}"
            )
            log.info("taken back", child=str(child), fields=list(error.fields))
            await self._world.events.tell(camera, key, "Normal", "TakenBack", note, "Reconcile")

    async def _unseen(self, child: Key) -> Object | None:
        """Give what is there although no watch has told of it: by our labels it cannot be seen, or it is that new."""
        if self._world.cache.get(child) is not None:
            return None
        try:
            return await self._world.api.get(child)
        except NotFoundError:
            return None

    def _refuse_quarrel(self, child: Key, error: ConflictError) -> None:
        if self._quarrels.left_s(child) > 0:
            msg = f"another field manager keeps changing what the operator must write ({error}); let it give that up"
            raise ConflictError(msg, error.fields)

    async def _prune(
        self, camera: Object, key: Key, wanted: set[tuple[Kind, str]], kept: set[Kind], outcome: Outcome
    ) -> None:
        for kind in (kind for kind in CHILD_KINDS if kind not in kept):
            for obj in self._world.cache.find(kind, BY_CAMERA, key.namespace, key.name):
                name = obj["metadata"]["name"]
                if (kind, name) in wanted or "deletionTimestamp" in obj["metadata"] or not _owned(obj, camera):
                    continue
                await self._world.api.delete(Key(kind, key.namespace, name))
                outcome.changed = True


def is_applied(kind: Kind, seen: Object, manifest: Object) -> bool:
    """Say whether an object is as a manifest wants it, and was applied from that very manifest."""
    metadata = seen["metadata"]
    was = (metadata.get("annotations") or {}).get(APPLIED_HASH)
    if was != manifest["metadata"]["annotations"][APPLIED_HASH]:
        return False
    wanted = trim(kind, manifest)
    wanted.pop("status", None)  # that is how it fares, which nobody asks for
    return holds(seen, wanted)


def _owned(obj: Object, camera: Object) -> bool:
    return any(one.get("uid") == camera["metadata"].get("uid") for one in obj["metadata"].get("ownerReferences") or [])


def _is_seen(obj: Object) -> bool:
    return (obj["metadata"].get("labels") or {}).get(MANAGED_BY) == OPERATOR


def _is_ours(obj: Object, camera: Object) -> bool:
    return _is_seen(obj) or _owned(obj, camera)


def _not_ours(child: Key) -> Problem:
    told = f"{child.kind} {child.name}: one of that name is there already and is not Vigil's"
    return Problem(Reason.APPLY_CONFLICT, f"{told}; remove it, or rename the Camera")


def of_an_earlier(seen: Object, camera: Object) -> bool:
    """Say whether a child belongs to an earlier Camera of the same name."""
    owners = seen["metadata"].get("ownerReferences") or []
    return bool(owners) and not _owned(seen, camera)
