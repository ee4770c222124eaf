"""Requests to the API server: server-side apply with the operator's own field manager, status, deletion, lists.

Every answer that is an object goes into the cache, so that what follows a write sees it. Nothing is tried again here:
the work queue does that, with growing pauses.
"""

from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Final, TypeVar

import httpx2
from lightkube import AsyncClient
from lightkube.types import CascadeType, PatchType

from vigil_operator.kube.cache import Cache
from vigil_operator.kube.classes import RESOURCES, STATUSES
from vigil_operator.kube.errors import AwayError, KubeError, NotFoundError, translate
from vigil_operator.kube.kinds import ADDRESSES, Key, Kind, Object
from vigil_operator.metrics import Metrics

FIELD_MANAGER: Final = "vigil-operator"
REQUEST_TIMEOUT_S: Final = 10.0
CHUNK: Final = 500
EVERYWHERE: Final = "*"
"""lightkube's word for all namespaces."""

Selector = dict[str, Any]
Answer = TypeVar("Answer")


def connect() -> AsyncClient:
    """Make the client from the pod's service account, KUBECONFIG or ~/.kube/config.

    Raises
    ------
    lightkube.core.exceptions.ConfigError
        None of them is there.
    """
    return AsyncClient(timeout=httpx2.Timeout(REQUEST_TIMEOUT_S), field_manager=FIELD_MANAGER)


class Api:
    """The API server. Every method raises KubeError and nothing else."""

    def __init__(self, client: AsyncClient, cache: Cache, metrics: Metrics) -> None:
        self._client = client
        self._cache = cache
        self._metrics = metrics

    async def apply(self, kind: Kind, manifest: Object, *, force: bool) -> Object:
        """Apply a manifest (server-side).

        Parameters
        ----------
        force
            Take fields over from other field managers instead of raising ConflictError.
        """
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        given = self._client.patch(
            RESOURCES[kind], name, manifest, namespace=namespace, patch_type=PatchType.APPLY, force=force
        )
        return self._seen(kind, await self._ask("apply", kind, given))

    async def apply_status(self, key: Key, uid: str, status: Object) -> Object:
        """Apply the whole status of one of Vigil's own kinds; ConflictError when the object is another one by now."""
        manifest = {
            "apiVersion": ADDRESSES[key.kind].api_version,
            "kind": key.kind.value,
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid},
            "status": status,
        }
        given = self._client.patch(
            STATUSES[key.kind], key.name, manifest, namespace=key.namespace, patch_type=PatchType.APPLY, force=True
        )
        return self._seen(key.kind, await self._ask("apply_status", key.kind, given))

    async def merge(self, key: Key, patch: Object) -> Object:
        """Patch an object (JSON merge patch); metadata.uid and metadata.resourceVersion in it are preconditions."""
        given = self._client.patch(
            RESOURCES[key.kind], key.name, patch, namespace=key.namespace, patch_type=PatchType.MERGE
        )
        return self._seen(key.kind, await self._ask("patch", key.kind, given))

    async def create(self, kind: Kind, manifest: Object) -> Object:
        """Make an object."""
        given = self._client.create(RESOURCES[kind](**manifest))
        return self._seen(kind, await self._ask("create", kind, given))

    async def replace(self, kind: Kind, manifest: Object) -> Object:
        """Write an object anew; with metadata.resourceVersion only over that version."""
        given = self._client.replace(RESOURCES[kind](**manifest))
        return self._seen(kind, await self._ask("update", kind, given))

    async def delete(self, key: Key) -> None:
        """Remove an object, and in the background what it owns; one that is gone already is no error."""
        gone = self._client.delete(
            RESOURCES[key.kind], key.name, namespace=key.namespace, cascade=CascadeType.BACKGROUND
        )
        try:
            await self._ask("delete", key.kind, gone)
        except NotFoundError:
            return

    async def get(self, key: Key) -> Object:
        """Read one object as it is, values included."""
        return dict(
            await self._ask("get", key.kind, self._client.get(RESOURCES[key.kind], key.name, namespace=key.namespace))
        )

    async def is_gone(self, key: Key) -> bool:
        """Say whether the API server knows the kind and has no such object; AwayError when it does not serve the kind.

        A kind that is not served, as when its CRD is not there or not yet known, tells nothing about its objects.
        """
        try:
            await self.get(key)
        except NotFoundError as error:
            if error.name == key.name:
                return True
            address = ADDRESSES[key.kind]
            msg = f"the API server serves no {address.plural} of {address.api_version} now: {error}"
            raise AwayError(msg) from error
        return False

    async def list(
        self, kind: Kind, namespace: str | None, labels: Selector | None = None, fields: Selector | None = None
    ) -> tuple[list[Object], str]:
        """Read all objects of a kind; gives them and the list's resource version."""

        async def read() -> tuple[list[Object], str]:
            found = self._client.list(
                RESOURCES[kind], namespace=namespace or EVERYWHERE, chunk_size=CHUNK, labels=labels, fields=fields
            )
            objects: list[Object] = [dict(obj) async for obj in found]
            return objects, found.resourceVersion

        return await self._ask("list", kind, read())

    async def watch(
        self,
        kind: Kind,
        namespace: str | None,
        version: str,
        labels: Selector | None = None,
        fields: Selector | None = None,
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """Give changes after a resource version: ADDED, MODIFIED or DELETED, and the object."""
        self._metrics.requests.labels("watch", kind.value).inc()
        try:
            async for what, obj in self._client.watch(
                RESOURCES[kind],
                namespace=namespace or EVERYWHERE,
                resource_version=version,
                labels=labels,
                fields=fields,
            ):
                yield what, dict(obj)
        except Exception as error:
            raise translate(error) from error

    async def served(self) -> set[str]:
        """Give the plurals that the API server has of Vigil's own kinds; none when the CRDs are missing."""
        address = ADDRESSES[Kind.CAMERA]
        self._metrics.requests.labels("get", "APIResourceList").inc()
        try:
            # The client has no call for discovery; this is the connection that it keeps itself.
            answer = await self._client._client._client.get(f"/apis/{address.api_version}")  # noqa: SLF001
            if answer.status_code == 404:
                return set()
            answer.raise_for_status()
            return {one["name"] for one in answer.json()["resources"]}
        except Exception as error:
            raise translate(error) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _ask(self, verb: str, kind: Kind, request: Awaitable[Answer]) -> Answer:
        self._metrics.requests.labels(verb, kind.value).inc()
        try:
            return await request
        except Exception as error:
            raise translate(error) from error

    def _seen(self, kind: Kind, obj: Any) -> Object:  # noqa: ANN401 - what the client made of it
        found: Object = dict(obj)
        if kind not in {Kind.EVENT, Kind.LEASE}:
            self._cache.put(kind, found)
        return found


__all__ = ["EVERYWHERE", "FIELD_MANAGER", "Api", "KubeError", "connect"]
