"""Select the objects to reconcile when one changes: itself, its owner, and those that refer to it."""

from collections.abc import Iterator
from typing import Final

from vigil_operator.kube.cache import Cache, Change, key_of
from vigil_operator.kube.kinds import CHILD_KINDS, OWN_KINDS, Key, Kind, Object
from vigil_operator.queues import KeyQueue
from vigil_operator.resources.names import CAMERA_LABEL, camera_of_pod
from vigil_operator.settings import Settings
from vigil_operator.stored import usb_device

BY_SECRET: Final = "secret"  # noqa: S105 - the name of an index
BY_CONFIG_MAP: Final = "configmap"
BY_SITE: Final = "site"
BY_CAMERA: Final = "camera"


def add_indices(cache: Cache, settings: Settings) -> None:
    """Index objects by what they refer to; to be called before the first object is put."""
    cache.index(Kind.CAMERA, BY_SECRET, lambda obj: _name_in(obj, "source", "credentialsSecretRef"))
    cache.index(Kind.CAMERA, BY_SITE, lambda obj: [site_of(obj, settings)])
    cache.index(Kind.SITE, BY_SECRET, lambda obj: _name_in(obj, "bus", "credentialsSecretRef"))
    cache.index(Kind.SUBJECT, BY_SECRET, lambda obj: _photo_refs(obj, "secretKeyRef"))
    cache.index(Kind.SUBJECT, BY_CONFIG_MAP, lambda obj: _photo_refs(obj, "configMapKeyRef"))
    for kind in CHILD_KINDS:
        cache.index(kind, BY_CAMERA, _camera_label)
    cache.index(Kind.POD, BY_CAMERA, _camera_of_pod)


class Router:
    """Listens to the cache and fills the queue."""

    def __init__(self, cache: Cache, queue: KeyQueue, settings: Settings) -> None:
        self._cache = cache
        self._queue = queue
        self._settings = settings
        cache.listen(self)

    def __call__(self, change: Change) -> None:
        """Queue the objects that a change affects."""
        if change.old is not None and change.new is not None and _same(change.old, change.new):
            return
        for key in self.affected(change):
            self._queue.add(key)

    def affected(self, change: Change) -> Iterator[Key]:
        """Yield the keys of all objects that a change affects."""
        kind, namespace, name = change.key
        seen = [obj for obj in (change.old, change.new) if obj is not None]
        if kind in OWN_KINDS:
            yield change.key
        if kind is Kind.CAMERA:
            yield from self._others_of_camera(namespace, seen)
        elif kind is Kind.SITE:
            yield from self._named(Kind.CAMERA, BY_SITE, namespace, name)
        elif kind is Kind.SECRET:
            yield from self._of_secret(namespace, name)
        elif kind in CHILD_KINDS or kind is Kind.POD:
            of = _camera_of_pod if kind is Kind.POD else _camera_label
            cameras = {camera for obj in seen for camera in of(obj)}
            yield from (Key(Kind.CAMERA, namespace, camera) for camera in cameras)
            if kind is Kind.CONFIG_MAP:
                yield from self._named(Kind.SUBJECT, BY_CONFIG_MAP, namespace, name)

    def _others_of_camera(self, namespace: str, seen: list[Object]) -> Iterator[Key]:
        sites = {site_of(obj, self._settings) for obj in seen}
        yield from (Key(Kind.SITE, namespace, site) for site in sites)
        devices = {device for obj in seen if (device := usb_device(obj)) is not None}
        if devices:  # Cameras of all namespaces share a device
            for other in self._cache.all(Kind.CAMERA):
                if usb_device(other) in devices:
                    yield key_of(Kind.CAMERA, other)

    def _of_secret(self, namespace: str, name: str) -> Iterator[Key]:
        yield from self._named(Kind.CAMERA, BY_SECRET, namespace, name)
        yield from self._named(Kind.SUBJECT, BY_SECRET, namespace, name)
        for site in self._cache.find(Kind.SITE, BY_SECRET, namespace, name):
            yield from self._named(Kind.CAMERA, BY_SITE, namespace, site["metadata"]["name"])
        if name == self._settings.bus_secret:
            yield from self._cache.keys(Kind.CAMERA, namespace)

    def _named(self, kind: Kind, index: str, namespace: str, value: str) -> Iterator[Key]:
        for obj in self._cache.find(kind, index, namespace, value):
            yield Key(kind, namespace, obj["metadata"]["name"])


def site_of(camera: Object, settings: Settings) -> str:
    """Return the name of a Camera's Site."""
    named = _name_in(camera, "siteRef")
    return named[0] if named else settings.site


def _same(old: Object, new: Object) -> bool:
    """Return whether nothing differs but the resource version."""
    return _unversioned(old) == _unversioned(new)


def _unversioned(obj: Object) -> Object:
    return obj | {"metadata": obj["metadata"] | {"resourceVersion": None}}


def _name_in(obj: Object, *path: str) -> list[str]:
    name = _at(obj, "spec", *path, "name")
    return [name] if isinstance(name, str) else []


def _photo_refs(obj: Object, kind: str) -> list[str]:
    photos = _at(obj, "spec", "photos")
    names = [_at(photo, kind, "name") for photo in photos] if isinstance(photos, list) else []
    return [name for name in names if isinstance(name, str)]


def _at(here: object, *path: str) -> object:
    """Return the value at a path in data of any shape; None where there is none."""
    for part in path:
        here = here.get(part) if isinstance(here, dict) else None
    return here


def _camera_label(obj: Object) -> list[str]:
    name = (obj["metadata"].get("labels") or {}).get(CAMERA_LABEL)
    return [name] if name else []


def _camera_of_pod(pod: Object) -> list[str]:
    name = camera_of_pod(pod)
    return [name] if name else []
