"""The last seen state of every object that matters, by kind, namespace and name.

Watches fill the cache, and so do the responses to the operator's own writes: a reconcile that follows a write sees it
even when the watch is late. An older state never replaces a newer one: resource versions are compared, and the last
deletions are remembered, so that the late response to a write cannot restore a deleted object.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.kube.trim import trim

MAX_TOMBSTONES: Final = 8192

Indexer = Callable[[Object], Iterable[str]]
"""Returns the values under which an object can be found, in its own namespace."""


class Change(NamedTuple):
    """One object before and after a change; None where it did not exist."""

    key: Key
    old: Object | None
    new: Object | None


Listener = Callable[[Change], None]


class Cache:
    """The last seen objects. On the event loop only."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[tuple[str, str], Object]] = {kind: {} for kind in Kind}
        self._gone: OrderedDict[Key, int] = OrderedDict()
        self._indexers: dict[Kind, dict[str, Indexer]] = defaultdict(dict)
        self._indices: dict[tuple[Kind, str, str, str], dict[str, None]] = {}
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call a listener for every change from now on."""
        self._listeners.append(listener)

    def index(self, kind: Kind, name: str, indexer: Indexer) -> None:
        """Index the objects of a kind by the values that the indexer returns; before the first object is put."""
        self._indexers[kind][name] = indexer

    def get(self, key: Key) -> Object | None:
        """Return the last seen state of an object; None when there is none."""
        return self._objects[key.kind].get((key.namespace, key.name))

    def all(self, kind: Kind, namespace: str | None = None) -> Iterator[Object]:
        """Yield all objects of a kind."""
        for (where, _), obj in list(self._objects[kind].items()):
            if namespace is None or where == namespace:
                yield obj

    def keys(self, kind: Kind, namespace: str | None = None) -> list[Key]:
        """Return the keys of all objects of a kind."""
        return [Key(kind, *place) for place in self._objects[kind] if namespace is None or place[0] == namespace]

    def find(self, kind: Kind, index: str, namespace: str, value: str) -> list[Object]:
        """Return the objects of a kind that an index has under a value."""
        names = self._indices.get((kind, index, namespace, value), {})
        return [self._objects[kind][namespace, name] for name in names]

    def put(self, kind: Kind, obj: Object) -> None:
        """Store an object as the API server returned it, unless a newer state is known."""
        key, version = key_of(kind, obj), version_of(obj)
        old = self.get(key)
        # When an object moves from one watch's selector to another's, the one watch reports a deletion and the other
        # the object, with the same version and in any order; the object exists.
        if version and ((old and version_of(old) >= version) or self._gone.get(key, -1) > version):
            return
        kept = trim(kind, obj)
        self._objects[kind][key.namespace, key.name] = kept
        self._changed(Change(key, old, kept))

    def remove(self, kind: Kind, obj: Object) -> None:
        """Remove an object that a watch reported as deleted, with its last state."""
        key, version = key_of(kind, obj), version_of(obj)
        old = self.get(key)
        if old is not None and version_of(old) >= version > 0:
            return  # created again since, or seen by another watch
        self._note_deleted(key, version)
        if old is not None:
            del self._objects[kind][key.namespace, key.name]
            self._changed(Change(key, old, None))

    def retain(self, kind: Kind, alive: set[Key], version: int, among: Callable[[Object], bool]) -> list[Key]:
        """Remove the objects that a fresh list does not contain; return their keys.

        Parameters
        ----------
        alive
            The keys in the list.
        version
            The list's resource version; newer objects stay.
        among
            Whether the list would have contained an object: its namespace and its selector.
        """
        dead = [
            (key, obj)
            for key in self.keys(kind)
            if key not in alive and (obj := self.get(key)) is not None and among(obj) and version_of(obj) <= version
        ]
        for key, obj in dead:
            self._note_deleted(key, version)
            del self._objects[kind][key.namespace, key.name]
            self._changed(Change(key, obj, None))
        return [key for key, _ in dead]

    def _note_deleted(self, key: Key, version: int) -> None:
        self._gone[key] = version
        self._gone.move_to_end(key)
        while len(self._gone) > MAX_TOMBSTONES:
            self._gone.popitem(last=False)

    def _changed(self, change: Change) -> None:
        kind, namespace, name = change.key
        for index, indexer in self._indexers[kind].items():
            before = set(indexer(change.old)) if change.old is not None else set()
            after = set(indexer(change.new)) if change.new is not None else set()
            for value in before - after:
                place = (kind, index, namespace, value)
                self._indices[place].pop(name, None)
                if not self._indices[place]:
                    del self._indices[place]
            for value in after - before:
                self._indices.setdefault((kind, index, namespace, value), {})[name] = None
        for listener in self._listeners:
            listener(change)


def key_of(kind: Kind, obj: Object) -> Key:
    """Return the key of an object."""
    metadata = obj.get("metadata") or {}
    return Key(kind, metadata.get("namespace") or "default", metadata.get("name") or "")


def version_of(obj: Object) -> int:
    """Return an object's resource version as a number; 0 when it is missing or not a number."""
    text = (obj.get("metadata") or {}).get("resourceVersion") or ""
    return int(text) if text.isdecimal() else 0
