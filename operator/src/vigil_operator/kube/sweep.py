"""Compare the cache with a fresh list of Vigil's own kinds.

kopf reports changes, and never what was deleted while its watch was interrupted
(docs/decisions/0008-what-kopf-watches.md).
"""

from collections.abc import Iterable
from functools import partial

from vigil_operator.kube.cache import Cache, key_of
from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import NotFoundError
from vigil_operator.kube.kinds import Kind, Object


async def sweep(api: Api, cache: Cache, kinds: Iterable[Kind], namespaces: tuple[str, ...]) -> set[Kind]:
    """List the kinds, put new objects into the cache, remove the others; return the kinds that are not served.

    Objects of a kind that is not served stay in the cache: an API server that serves no such kind, for instance while
    its CRD is replaced, proves nothing about the objects. A later comparison finds those that are gone.
    """
    unserved = set()
    for kind in kinds:
        for namespace in namespaces or (None,):
            try:
                objects, version = await api.list(kind, namespace)
            except NotFoundError:
                unserved.add(kind)
                continue
            for obj in objects:
                cache.put(kind, obj)
            alive = {key_of(kind, obj) for obj in objects}
            cache.retain(kind, alive, int(version or 0), partial(_inside, namespace))
    return unserved


def _inside(namespace: str | None, obj: Object) -> bool:
    return namespace in {None, obj["metadata"].get("namespace")}
