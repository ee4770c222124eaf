"""Find pods that were edited in place, so that they are replaced.

A Deployment does not notice that a pod's image was changed in place, and its ReplicaSet releases a pod when one of the
labels by which it finds its pods is changed: such a pod runs on beside its successor. But a webhook that rewrites pods
while they are made, such as one that names a mirror or pins a digest, would do the same to the next pod, so what a pod
was made with is left as it is. For an image that was never seen otherwise the pod's generation distinguishes the two;
for a missing label, and where generations are not counted, one replacement decides: when the next pod comes with the
same content, pods are made so.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import structlog

from vigil_operator.kube.errors import NotFoundError
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile.conflicts import ConflictLimiter
from vigil_operator.resources.names import CONFIG_HASH, CONTAINER, child_name

log = structlog.get_logger(__name__)

MAX_EDITS: Final = 8
"""Reasons for a replacement that are remembered of one Camera; the oldest is dropped."""

_Labels = tuple[tuple[str, str | None], ...]


class _PodContent(NamedTuple):
    """Content of a pod or a template; None: unknown, because the pod was edited before it was seen."""

    configuration: Hashable
    labels: _Labels | None
    image: Hashable

    @classmethod
    def of(cls, made: Object, template: Object) -> "_PodContent":
        metadata, wanted = made["metadata"], template["metadata"].get("labels") or {}
        labels = metadata.get("labels") or {}
        return cls(
            configuration=(metadata.get("annotations") or {}).get(CONFIG_HASH),
            labels=tuple((name, labels.get(name)) for name in sorted(wanted)),
            image=_image(made["spec"]),
        )


class _Edit(NamedTuple):
    """A difference between a pod and what is wanted."""

    what: str
    wanted: Hashable
    was: Hashable


@dataclass(slots=True)
class PodMemory:
    """Memory of the pods of one Camera.

    Attributes
    ----------
    made_with
        The content that each of its pods is known to have been made with, by uid.
    there
        The names of its pods that were last seen and not known to be ending, by uid.
    removed
        The uids of pods that were deleted.
    replaced
        The reasons for which pods were replaced, the latest last.
    conflicts
        The replacements.
    """

    made_with: dict[str, _PodContent] = field(default_factory=dict)
    there: dict[str, str] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    replaced: list[_Edit] = field(default_factory=list)
    conflicts: ConflictLimiter = field(default_factory=ConflictLimiter)

    def observe(self, template: Object, pods: Iterable[Object]) -> None:
        """Note what the pods that are made from a template were made with; to be called before it is changed."""
        for pod in pods:
            uid, seen, wanted = _uid(pod), _PodContent.of(pod, template), _PodContent.of(template, template)
            if uid not in self.made_with and seen.configuration == wanted.configuration:
                self.made_with[uid] = _initial_content(self.replaced, pod, seen, wanted)

    def vanished(self, pods: dict[str, Object]) -> list[str]:
        """Return the names of the pods that are not among these, although they were not ending."""
        return [name for uid, name in self.there.items() if uid not in pods and uid not in self.removed]

    def keep(self, pods: dict[str, Object]) -> None:
        """Forget all pods but these."""
        self.made_with = {uid: made for uid, made in self.made_with.items() if uid in pods}
        self.removed &= pods.keys()
        self.there = {uid: pod["metadata"]["name"] for uid, pod in pods.items() if not _is_ending(pod)}

    def note_replaced(self, edit: _Edit) -> None:
        """Note the reason for which a pod was replaced."""
        if edit not in self.replaced:
            self.replaced = [*self.replaced, edit][-MAX_EDITS:]


class EditedPods:
    """Deletes edited pods, so that their Deployment makes them again; not without end for one Camera.

    Parameters
    ----------
    delete
        Deletes a pod, or does nothing when it is gone; its errors are raised.
    read
        Returns a Deployment with its status; its errors are raised, except NotFoundError.
    """

    def __init__(self, delete: Callable[[Key], Awaitable[None]], read: Callable[[Key], Awaitable[Object]]) -> None:
        self._delete = delete
        self._read = read

    async def replace(self, camera: Key, memory: PodMemory, template: Object | None, pods: Iterable[Object]) -> bool:
        """Delete the pods of a Camera that were edited, and return whether there were any.

        Parameters
        ----------
        template
            The Deployment's; None: there is no Deployment, and only pods without an owner are deleted.
        pods
            All of the Camera; the Deployment itself replaces those of another configuration.
        """
        there = {_uid(pod): pod for pod in pods}
        any_replaced = False
        for name in memory.vanished(there):
            # A pod without any of its labels runs on, and no watch reports it. Most often there is nothing to delete.
            await self._delete(Key(Kind.POD, camera.namespace, name))
        memory.keep(there)
        if template is not None:
            memory.observe(template, there.values())
        for uid, pod in there.items():
            if uid in memory.removed or _is_ending(pod) or memory.conflicts.left_s() > 0:
                continue
            edit = await self._edit(camera, memory, pod, template)
            if edit is None:
                continue
            key = Key(Kind.POD, camera.namespace, pod["metadata"]["name"])
            await self._delete(key)
            memory.removed.add(uid)
            memory.note_replaced(edit)
            _log_replaced(key, edit, is_last=memory.conflicts.note())
            any_replaced = True
        return any_replaced

    async def _edit(self, camera: Key, memory: PodMemory, pod: Object, template: Object | None) -> _Edit | None:
        if is_released(camera, pod):
            return _Edit("owner", "ReplicaSet", None)
        if template is None:
            return None
        seen, wanted, made = (
            _PodContent.of(pod, template),
            _PodContent.of(template, template),
            memory.made_with.get(_uid(pod)),
        )
        if made is None:  # its annotation names another configuration, and what it was made with was not seen
            edit = _Edit("configuration", wanted.configuration, seen.configuration)
            return edit if edit not in memory.replaced and await self._is_rolled_out(camera) else None
        return _difference(seen, wanted, made)

    async def _is_rolled_out(self, camera: Key) -> bool:
        """Return whether the Deployment reports that all pods of a Camera are made from its present template."""
        try:
            deployment = await self._read(Key(Kind.DEPLOYMENT, camera.namespace, child_name(camera.name)))
        except NotFoundError:
            return False
        status, generation = deployment.get("status") or {}, deployment["metadata"].get("generation")
        pods = status.get("replicas") or 0
        return bool(status.get("observedGeneration") == generation and 0 < pods == status.get("updatedReplicas"))


def is_released(camera: Key, pod: Object) -> bool:
    """Return whether a pod of a Camera's Deployment has lost its ReplicaSet; a copy made by hand never had one."""
    metadata = pod["metadata"]
    made_for_it = str(metadata.get("generateName") or "").startswith(f"{child_name(camera.name)}-")
    return made_for_it and not any(one.get("controller") for one in metadata.get("ownerReferences") or [])


def _log_replaced(pod: Key, edit: _Edit, *, is_last: bool) -> None:
    fields = {"pod": str(pod), "what": edit.what, "was": str(edit.was), "wanted": str(edit.wanted)}
    if is_last:
        log.warning("a pod is edited in place again and again; it is left so for a while", **fields)
    else:
        log.info("replacing a pod that was edited in place", **fields)


def _difference(seen: _PodContent, wanted: _PodContent, made: _PodContent) -> _Edit | None:
    if seen.configuration != made.configuration:
        return _Edit("configuration", made.configuration, seen.configuration)
    if seen.configuration != wanted.configuration:
        return None
    if seen.labels not in {wanted.labels, made.labels}:
        return _labels(wanted, seen)
    if seen.image not in {wanted.image, made.image}:
        return _Edit("image", wanted.image, seen.image)
    return None


def _labels(wanted: _PodContent, seen: _PodContent) -> _Edit:
    one, other = wanted.labels or (), seen.labels or ()
    return _Edit("labels", _but(one, other), _but(other, one))


def _but(labels: _Labels, others: _Labels) -> _Labels:
    return tuple(label for label in labels if label not in others)


def _initial_content(replaced: list[_Edit], pod: Object, seen: _PodContent, wanted: _PodContent) -> _PodContent:
    """Return what a pod that is seen for the first time was made with."""
    generation = pod["metadata"].get("generation")  # counts changes of the spec only
    image = generation == 1 or (generation is None and seen.image == wanted.image)
    image = image or _Edit("image", wanted.image, seen.image) in replaced
    # A label of another value may be a webhook's; a missing one seldom is.
    labels = all(value is not None for _, value in seen.labels or ())
    labels = labels or _labels(wanted, seen) in replaced
    return _PodContent(seen.configuration, seen.labels if labels else None, seen.image if image else None)


def _is_ending(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _uid(pod: Object) -> str:
    return str(pod["metadata"].get("uid"))


def _image(spec: Object) -> Hashable:
    images: list[Hashable] = [one.get("image") for one in spec.get("containers") or [] if one.get("name") == CONTAINER]
    return images[0] if images else None
