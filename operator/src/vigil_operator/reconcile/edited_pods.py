"""Which pods run another image than their Deployment says because somebody edited them, and are to be made anew.

A Deployment does not see that a pod's image was changed in place. But what rewrites pods while they are made, such as
a webhook that names a mirror or pins a digest, would give the next pod the same image again, so a pod that was made
with its image is left as it is. The API server tells the two apart by the pod's generation; where it does not count
that, one replacement tells: when the next pod comes with the very same image, it is made so.
"""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

import structlog

from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile.quarrels import Quarrels
from vigil_operator.resources.names import CONFIG_HASH, CONTAINER

log = structlog.get_logger(__name__)

REWRITES: Final = 8
"""So many rewritings of images are remembered of one Camera; the oldest gives way."""


@dataclass(slots=True)
class _Known:
    """What is remembered of one Camera; all of it may be lost.

    Attributes
    ----------
    made_with
        The image that each of its pods is known to have been made with, by uid; None: it was edited before it was seen.
    removed
        The uids of pods that were told to go.
    replaced
        Image of the template and of a pod that was replaced for it.
    """

    made_with: dict[str, object] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    replaced: deque[tuple[object, object]] = field(default_factory=lambda: deque(maxlen=REWRITES))

    def keep(self, pods: AbstractSet[str]) -> None:
        """Forget all pods but these."""
        self.made_with = {uid: image for uid, image in self.made_with.items() if uid in pods}
        self.removed &= pods


class EditedPods:
    """Removes edited pods, so that their Deployment makes them anew, and nobody's for ever.

    Parameters
    ----------
    delete
        Removes a pod; what it raises is raised.
    """

    def __init__(self, delete: Callable[[Key], Awaitable[None]]) -> None:
        self._delete = delete
        self._known: defaultdict[Key, _Known] = defaultdict(_Known)
        self._quarrels: Quarrels[Key] = Quarrels()

    async def replace(self, camera: Key, template: Object, pods: Iterable[Object]) -> bool:
        """Remove the pods of a Camera that were edited; tells whether there were any.

        Parameters
        ----------
        template
            The Deployment's.
        pods
            All of the Camera; those of another configuration are the Deployment's to replace.
        """
        known, wanted, any_replaced = self._known[camera], _image(template["spec"]), False
        there = {str(pod["metadata"].get("uid")): pod for pod in pods}
        known.keep(there.keys())
        for uid, pod in there.items():
            if not _is_edited(known, uid, pod, wanted) or _hash(pod) != _hash(template):
                continue
            if self._quarrels.left_s(camera) > 0:
                continue
            key = Key(Kind.POD, camera.namespace, pod["metadata"]["name"])
            await self._delete(key)
            known.removed.add(uid)
            self._note(camera, key, (wanted, _image(pod["spec"])))
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

    def _note(self, camera: Key, pod: Key, rewriting: tuple[object, object]) -> None:
        replaced = self._known[camera].replaced
        if rewriting not in replaced:
            replaced.append(rewriting)
        told = {"pod": str(pod), "was": str(rewriting[1]), "wanted": str(rewriting[0])}
        if self._quarrels.note(camera):
            log.warning("somebody keeps editing the image of a pod in place; it is left so for a while", **told)
        else:
            log.info("replacing a pod whose image was edited in place", **told)


def _is_edited(known: _Known, uid: str, pod: Object, wanted: object) -> bool:
    image = _image(pod["spec"])
    if uid not in known.made_with:
        as_made = (wanted, image) in known.replaced or _is_as_made(pod, as_wanted=image == wanted)
        known.made_with[uid] = image if as_made else None
    if uid in known.removed or "deletionTimestamp" in pod["metadata"]:
        return False
    return image not in {wanted, known.made_with[uid]}


def _is_as_made(pod: Object, *, as_wanted: bool) -> bool:
    """Say whether nobody edited a pod that is seen for the first time."""
    generation = pod["metadata"].get("generation")
    return as_wanted if generation is None else bool(generation == 1)


def _hash(made: Object) -> object:
    return (made["metadata"].get("annotations") or {}).get(CONFIG_HASH)


def _image(spec: Object) -> object:
    return next((one.get("image") for one in spec.get("containers") or [] if one.get("name") == CONTAINER), None)
