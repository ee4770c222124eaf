"""Requests to the API server: apply with the operator's own field manager, statuses, deletions, lists, watches.

Objects are plain data all the way: JSON is decoded and the client makes no objects of its own out of it, which would
cost five times as much in lists (docs/decisions/0009-the-official-client-with-our-own-lease.md). Every response that is
an object goes into the cache, so that what follows a write sees it. Nothing is tried again here: the work queue does
that, with growing pauses.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from aiohttp import ClientResponse, ClientTimeout
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from vigil_operator.kube.cache import Cache
from vigil_operator.kube.errors import (
    AwayError,
    KubeError,
    NotFoundError,
    error_of_response,
    error_of_status,
    translate,
)
from vigil_operator.kube.kinds import ADDRESSES, Key, Kind, Object
from vigil_operator.metrics import Metrics

FIELD_MANAGER: Final = "vigil-operator"
CHUNK: Final = 500
"""Objects in one page of a list."""

_REQUEST_TIMEOUT: Final = ClientTimeout(connect=10.0, sock_connect=10.0, sock_read=10.0)
_WATCH_TIMEOUT: Final = ClientTimeout(connect=10.0, sock_connect=10.0)
"""A stream may be silent for as long as nothing changes; the reader sets the limit."""

_JSON: Final = "application/json"
_METADATA: Final = "application/json;as={};g=meta.k8s.io;v=v1"
"""Media type of the responses that have the metadata of each object and nothing else."""
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_MANAGED: Final = {"fieldManager": FIELD_MANAGER}
_NO_QUERY: Final[Mapping[str, object]] = {}
_REFUSED: Final = 300
"""Lowest status of a response that is not a success."""


class ConfigError(Exception):
    """Neither a service account nor a kubeconfig states where the API server is."""


async def connect(kubeconfig: str | None = None) -> ApiClient:
    """Return a client for the pod's service account, the files of KUBECONFIG, or ~/.kube/config.

    Parameters
    ----------
    kubeconfig
        A file to use instead of all of these.

    Raises
    ------
    ConfigError
        None of them is there, or it cannot be used.
    """
    configuration = Configuration(connection_pool_maxsize=0)  # watches keep theirs; the workers limit all others
    # Python 3.13 requires extensions that the authorities of many clusters lack; earlier versions do not.
    configuration.disable_strict_ssl_verification = True
    try:
        if kubeconfig is not None:
            await load_kube_config(kubeconfig, client_configuration=configuration, persist_config=False)
        else:
            await _find_configuration(configuration)
    except ConfigException as error:
        where = kubeconfig or "neither a pod's service account nor a kubeconfig (KUBECONFIG, ~/.kube/config)"
        msg = f"no API server is configured by {where} ({error}); run in a pod, or set KUBECONFIG"
        raise ConfigError(msg) from error
    _find_proxy(configuration)
    client = ApiClient(configuration)
    client.user_agent = FIELD_MANAGER
    return client


async def _find_configuration(configuration: Configuration) -> None:
    try:
        load_incluster_config(client_configuration=configuration)
    except ConfigException:
        await load_kube_config(client_configuration=configuration, persist_config=False)


def _find_proxy(configuration: Configuration) -> None:
    """Find the proxy once: aiohttp would read the environment and ~/.netrc for each request, in a thread."""
    address = urlsplit(configuration.host)
    if configuration.proxy is None and not proxy_bypass(address.netloc):
        configuration.proxy = getproxies().get(address.scheme)
    configuration.client_session_kwargs = {"trust_env": False}


class Api:
    """The API server. Every method raises KubeError and nothing else."""

    def __init__(self, client: ApiClient, cache: Cache, metrics: Metrics) -> None:
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
        key = Key(kind, manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        return await self._apply("apply", key, manifest, force=force)

    async def apply_status(self, key: Key, uid: str, status: Object) -> Object:
        """Apply the whole status of one of Vigil's own kinds; ConflictError when the object is another one by now."""
        manifest = {
            "apiVersion": ADDRESSES[key.kind].api_version,
            "kind": key.kind.value,
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid},
            "status": status,
        }
        return await self._apply("apply_status", key, manifest, "/status", force=True)

    async def merge(self, key: Key, patch: Object) -> Object:
        """Patch an object (JSON merge patch); metadata.uid and metadata.resourceVersion in it are preconditions."""
        found = await self._request("patch", key.kind, "PATCH", _path(*key), patch, _MANAGED, content_type=_MERGE)
        return self._seen(key.kind, found)

    async def create(self, kind: Kind, manifest: Object) -> Object:
        """Create an object."""
        path = _path(kind, manifest["metadata"]["namespace"])
        return self._seen(kind, await self._request("create", kind, "POST", path, manifest, _MANAGED))

    async def replace(self, kind: Kind, manifest: Object) -> Object:
        """Replace an object; with metadata.resourceVersion only that version of it."""
        path = _path(kind, manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        return self._seen(kind, await self._request("update", kind, "PUT", path, manifest, _MANAGED))

    async def delete(self, key: Key) -> None:
        """Delete an object, and in the background what it owns; one that is gone already is no error."""
        try:
            await self._request("delete", key.kind, "DELETE", _path(*key), query={"propagationPolicy": "Background"})
        except NotFoundError:
            return

    async def get(self, key: Key) -> Object:
        """Read one object as it is, values included."""
        return await self._request("get", key.kind, "GET", _path(*key))

    async def is_gone(self, key: Key) -> bool:
        """Return whether the API server knows the kind and has no such object; AwayError when it serves no such kind.

        A kind that is not served, as when its CRD is not there or not yet known, proves nothing about its objects.
        """
        try:
            await self.get(key)
        except NotFoundError as error:
            if error.name == key.name:
                return True
            address = ADDRESSES[key.kind]
            msg = f"the API server serves no {address.plural} of {address.api_version} now ({error}); install its CRD"
            raise AwayError(msg) from error
        return False

    async def list(
        self, kind: Kind, namespace: str | None, labels: str = "", fields: str = "", *, metadata_only: bool = False
    ) -> tuple[list[Object], str]:
        """Return all objects of a kind and the list's resource version.

        Parameters
        ----------
        namespace
            None: all of them.
        labels, fields
            Selectors as Kubernetes writes them, such as `app=x,tier!=y`.
        metadata_only
            The API server sends the metadata of each object and nothing else, so no value of a Secret.
        """
        self._metrics.requests.labels("list", kind.value).inc()
        objects: list[Object] = []
        query = _selectors(labels, fields) | {"limit": CHUNK}
        accept = _METADATA.format("PartialObjectMetadataList") if metadata_only else _JSON
        while True:
            page = await self._load("GET", _path(kind, namespace), query=query, accept=accept)
            objects += page["items"] or []
            if not page["metadata"].get("continue"):
                return objects, page["metadata"]["resourceVersion"]
            query["continue"] = page["metadata"]["continue"]

    async def watch(
        self,
        kind: Kind,
        namespace: str | None,
        version: str,
        labels: str = "",
        fields: str = "",
        *,
        metadata_only: bool = False,
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """Yield changes after a resource version: ADDED, MODIFIED or DELETED, and the object, as `list` returns it.

        The API server ends every stream after a while; the next one goes on from the last change.
        """
        self._metrics.requests.labels("watch", kind.value).inc()
        query = _selectors(labels, fields) | {"watch": "true"}
        accept = _METADATA.format("PartialObjectMetadata") if metadata_only else _JSON
        while True:
            path, since = _path(kind, namespace), {"resourceVersion": version}
            stream = await self._send("GET", path, query=query | since, accept=accept, limits=_WATCH_TIMEOUT)
            async with aclosing(_events(stream)) as events:
                async for what, obj in events:
                    version = obj["metadata"]["resourceVersion"]
                    yield what, obj

    async def served(self) -> set[str]:
        """Return the plurals of Vigil's own kinds that the API server serves; none when the CRDs are missing."""
        self._metrics.requests.labels("get", "APIResourceList").inc()
        try:
            found = await self._load("GET", f"/apis/{ADDRESSES[Kind.CAMERA].api_version}")
        except NotFoundError:
            return set()
        return {one["name"] for one in found["resources"]}

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _apply(self, verb: str, key: Key, manifest: Object, subresource: str = "", *, force: bool) -> Object:
        query = {**_MANAGED, "force": "true" if force else "false"}
        path = _path(*key) + subresource
        return self._seen(
            key.kind, await self._request(verb, key.kind, "PATCH", path, manifest, query, content_type=_APPLY)
        )

    async def _request(
        self,
        verb: str,
        kind: Kind,
        method: str,
        path: str,
        body: Object | None = None,
        query: Mapping[str, object] = _NO_QUERY,
        *,
        content_type: str = _JSON,
    ) -> Object:
        """Count a request and send it; return the object in the response."""
        self._metrics.requests.labels(verb, kind.value).inc()
        found: Object = await self._load(method, path, body, query, content_type=content_type)
        return found

    async def _load(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: Mapping[str, object] = _NO_QUERY,
        *,
        content_type: str = _JSON,
        accept: str = _JSON,
    ) -> Any:  # noqa: ANN401 - decoded JSON of any shape
        response = await self._send(method, path, body, query, content_type=content_type, accept=accept)
        try:
            return await response.json()
        except Exception as error:
            raise translate(error) from error

    async def _send(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: Mapping[str, object] = _NO_QUERY,
        *,
        content_type: str = _JSON,
        accept: str = _JSON,
        limits: ClientTimeout = _REQUEST_TIMEOUT,
    ) -> ClientResponse:
        """Send a request; return the response, its body still unread, or raise what the API server refuses with."""
        headers = {"Accept": accept, "Content-Type": content_type}
        try:
            request = await self._client.param_serialize(
                method, path, query_params=list(query.items()), header_params=headers, auth_settings=["BearerToken"]
            )
            verb, url, headers, _, _ = request
            # The body goes around param_serialize, which would copy it value by value.
            found = await self._client.call_api(verb, url, headers, body, _request_timeout=limits)
            text = b"" if found.status < _REFUSED else await found.read()
        except Exception as error:
            raise translate(error) from error
        if found.status >= _REFUSED:
            raise error_of_response(found.status, text)
        response: ClientResponse = found.response
        return response

    def _seen(self, kind: Kind, obj: Object) -> Object:
        if kind not in {Kind.EVENT, Kind.LEASE}:
            self._cache.put(kind, obj)
        return obj


async def _events(stream: ClientResponse) -> AsyncGenerator[tuple[str, Object], None]:
    """Yield what a watch sends until the API server ends it, and close it."""
    try:
        async for line in stream.content:
            yield _event(line)
    except Exception as error:
        raise translate(error) from error
    finally:
        # Without TLS' goodbye, whose answer nobody would wait for.
        if stream.connection is not None and stream.connection.transport is not None:
            stream.connection.transport.abort()
        stream.close()


def _event(line: bytes) -> tuple[str, Object]:
    event = json.loads(line)
    if event["type"] == "ERROR":
        raise error_of_status(event["object"])
    return event["type"], event["object"]


def _path(kind: Kind, namespace: str | None, name: str = "") -> str:
    address = ADDRESSES[kind]
    parts = ["apis" if address.group else "api", *address.api_version.split("/")]
    parts += ["namespaces", namespace] if namespace else []
    parts += [address.plural, name] if name else [address.plural]
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _selectors(labels: str, fields: str) -> dict[str, object]:
    chosen = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in chosen.items() if value}


__all__ = ["FIELD_MANAGER", "Api", "ConfigError", "KubeError", "connect"]
