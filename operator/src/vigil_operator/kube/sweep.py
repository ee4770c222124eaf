"""Compare what the cache has of Vigil's own kinds with a fresh list.

kopf tells of what changes; of what was deleted while it could not watch it never tells, because its lists only add.
"""

from collections.abc import Iterable
from functools import partial

from vigil_operator.kube.cache import Cache, key_of
from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import NotFoundError
from vigil_operator.kube.kinds import Kind, Object


async def sweep(api: Api, cache: Cache, kinds: Iterable[Kind], namespaces: tuple[str, ...]) -> set[Kind]:
    """List the kinds, put what is new, forget what is gone; gives the kinds that the API server does not serve.

    Those stay as they were last seen: an API server that does not serve a kind, as while its CRD is changed or not yet
    known, tells nothing about its objects. A later comparison tells which of them are gone.
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
