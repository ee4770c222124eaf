"""Which pods somebody edited, so that they are to be made anew.

A Deployment does not see that a pod's image was changed in place, and its ReplicaSet lets a pod go when one of the
labels is changed by which it finds its pods: nobody's pod then runs on beside the one that follows it. But what
rewrites pods while they are made, such as a webhook that names a mirror or pins a digest, would do the same to the next
pod, so what a pod was made with is left as it is. Of an image that was never seen otherwise the API server tells the
two apart by the pod's generation; of a label that is not there, and where generations are not counted, one replacement
tells: when the next pod comes with the very same, it is made so.
"""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import structlog

from vigil_operator.kube.errors import NotFoundError
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile.conflicts import Quarrels
from vigil_operator.resources.names import CONFIG_HASH, CONTAINER, child_name

log = structlog.get_logger(__name__)

REWRITES: Final = 8
"""So many rewritings are remembered of one Camera; the oldest gives way."""


_Labels = tuple[tuple[str, str | None], ...]


class _Made(NamedTuple):
    """What a pod, or a template, is made with; None in what a pod was made with: it was edited before it was seen."""

    configuration: Hashable
    labels: _Labels | None
    image: Hashable

    @classmethod
    def of(cls, made: Object, template: Object) -> "_Made":
        metadata, wanted = made["metadata"], template["metadata"].get("labels") or {}
        labels = metadata.get("labels") or {}
        return cls(
            configuration=(metadata.get("annotations") or {}).get(CONFIG_HASH),
            labels=tuple((name, labels.get(name)) for name in sorted(wanted)),
            image=_image(made["spec"]),
        )


class _Edit(NamedTuple):
    """What differs in a pod from what is wanted."""

    what: str
    wanted: Hashable
    was: Hashable


@dataclass(slots=True)
class _Known:
    """What is remembered of one Camera; all of it may be lost.

    Attributes
    ----------
    made_with
        What each of its pods is known to have been made with, by uid.
    there
        The names of its pods that were last seen and not known to be on their way out, by uid.
    removed
        The uids of pods that were told to go.
    replaced
        What was the reason to replace a pod.
    """

    made_with: dict[str, _Made] = field(default_factory=dict)
    there: dict[str, str] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    replaced: deque[_Edit] = field(default_factory=lambda: deque(maxlen=REWRITES))

    def lost(self, pods: dict[str, Object]) -> list[str]:
        """Name the pods that are not among these, although they were not on their way out."""
        return [name for uid, name in self.there.items() if uid not in pods and uid not in self.removed]

    def keep(self, pods: dict[str, Object]) -> None:
        """Forget all pods but these."""
        self.made_with = {uid: made for uid, made in self.made_with.items() if uid in pods}
        self.removed &= pods.keys()
        self.there = {uid: pod["metadata"]["name"] for uid, pod in pods.items() if not _is_leaving(pod)}


class EditedPods:
    """Removes edited pods, so that their Deployment makes them anew, and nobody's for ever.

    Parameters
    ----------
    delete
        Removes a pod, or nothing when it is gone; what it raises is raised.
    read
        Reads a Deployment as it is, with its status; what it raises but NotFoundError is raised.
    """

    def __init__(self, delete: Callable[[Key], Awaitable[None]], read: Callable[[Key], Awaitable[Object]]) -> None:
        self._delete = delete
        self._read = read
        self._known: defaultdict[Key, _Known] = defaultdict(_Known)
        self._quarrels: Quarrels[Key] = Quarrels()

    def see(self, camera: Key, template: Object, pods: Iterable[Object]) -> None:
        """Note what pods were made with that are made from a template; before it is changed."""
        known = self._known[camera]
        for pod in pods:
            uid, seen, wanted = _uid(pod), _Made.of(pod, template), _Made.of(template, template)
            if uid not in known.made_with and seen.configuration == wanted.configuration:
                known.made_with[uid] = _as_made(known, pod, seen, wanted)

    async def replace(self, camera: Key, template: Object | None, pods: Iterable[Object]) -> bool:
        """Remove the pods of a Camera that were edited; tells whether there were any.

        Parameters
        ----------
        template
            The Deployment's; None: there is none, and only pods that nobody looks after are removed.
        pods
            All of the Camera; those of another configuration are the Deployment's to replace.
        """
        known, there = self._known[camera], {_uid(pod): pod for pod in pods}
        any_replaced = False
        for name in known.lost(there):
            # Without any of its labels a pod runs on, and no watch tells of it. Most often there is nothing to remove.
            await self._delete(Key(Kind.POD, camera.namespace, name))
        known.keep(there)
        if template is not None:
            self.see(camera, template, there.values())
        for uid, pod in there.items():
            if uid in known.removed or _is_leaving(pod) or self._quarrels.left_s(camera) > 0:
                continue
            edit = await self._edit(camera, known, pod, template)
            if edit is None:
                continue
            key = Key(Kind.POD, camera.namespace, pod["metadata"]["name"])
            await self._delete(key)
            known.removed.add(uid)
            self._note(camera, key, edit)
            any_replaced = True
        return any_replaced

    def forget(self, camera: Key) -> None:
        """Forget a Camera that is gone."""
        self._known.pop(camera, None)
        self._quarrels.forget(camera)

    @property
    def size(self) -> int:
        """Of how many Cameras something is remembered."""
        return len(self._known)

    async def _edit(self, camera: Key, known: _Known, pod: Object, template: Object | None) -> _Edit | None:
        if is_let_go(camera, pod):
            return _Edit("owner", "ReplicaSet", None)
        if template is None:
            return None
        seen, wanted, made = _Made.of(pod, template), _Made.of(template, template), known.made_with.get(_uid(pod))
        if made is None:  # by its annotation it is of another configuration, and nobody saw what it was made with
            edit = _Edit("configuration", wanted.configuration, seen.configuration)
            return edit if edit not in known.replaced and await self._is_rolled_out(camera) else None
        return _difference(seen, wanted, made)

    async def _is_rolled_out(self, camera: Key) -> bool:
        """Say whether by its Deployment all pods of a Camera are made from the template as it is now."""
        try:
            deployment = await self._read(Key(Kind.DEPLOYMENT, camera.namespace, child_name(camera.name)))
        except NotFoundError:
            return False
        status, generation = deployment.get("status") or {}, deployment["metadata"].get("generation")
        pods = status.get("replicas") or 0
        return bool(status.get("observedGeneration") == generation and 0 < pods == status.get("updatedReplicas"))

    def _note(self, camera: Key, pod: Key, edit: _Edit) -> None:
        replaced = self._known[camera].replaced
        if edit not in replaced:
            replaced.append(edit)
        told = {"pod": str(pod), "what": edit.what, "was": str(edit.was), "wanted": str(edit.wanted)}
        if self._quarrels.note(camera):
            log.warning("somebody keeps editing a pod in place; it is left so for a while", **told)
        else:
            log.info("replacing a pod that was edited in place", **told)


def is_let_go(camera: Key, pod: Object) -> bool:
    """Say whether a pod of a Camera's Deployment has no ReplicaSet any more; a copy that somebody made had none."""
    metadata = pod["metadata"]
    made_for_it = str(metadata.get("generateName") or "").startswith(f"{child_name(camera.name)}-")
    return made_for_it and not any(one.get("controller") for one in metadata.get("ownerReferences") or [])


def _difference(seen: _Made, wanted: _Made, made: _Made) -> _Edit | None:
    if seen.configuration != made.configuration:
        return _Edit("configuration", made.configuration, seen.configuration)
    if seen.configuration != wanted.configuration:
        return None
    if seen.labels not in {wanted.labels, made.labels}:
        return _labels(wanted, seen)
    if seen.image not in {wanted.image, made.image}:
        return _Edit("image", wanted.image, seen.image)
    return None


def _labels(wanted: _Made, seen: _Made) -> _Edit:
    one, other = wanted.labels or (), seen.labels or ()
    return _Edit("labels", _but(one, other), _but(other, one))


def _but(labels: _Labels, others: _Labels) -> _Labels:
    return tuple(label for label in labels if label not in others)


def _as_made(known: _Known, pod: Object, seen: _Made, wanted: _Made) -> _Made:
    """Give what a pod was made with that is seen for the first time."""
    generation = pod["metadata"].get("generation")  # counts changes of the spec only
    image = generation == 1 or (generation is None and seen.image == wanted.image)
    image = image or _Edit("image", wanted.image, seen.image) in known.replaced
    # A label of another value may be a webhook's; that one is not there at all is seldom one's doing.
    labels = all(value is not None for _, value in seen.labels or ())
    labels = labels or _labels(wanted, seen) in known.replaced
    return _Made(seen.configuration, seen.labels if labels else None, seen.image if image else None)


def _is_leaving(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _uid(pod: Object) -> str:
    return str(pod["metadata"].get("uid"))


def _image(spec: Object) -> Hashable:
    images: list[Hashable] = [one.get("image") for one in spec.get("containers") or [] if one.get("name") == CONTAINER]
    return images[0] if images else None
