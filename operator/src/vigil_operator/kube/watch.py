"""Lists and watches of everything that is not one of Vigil's own kinds.

kopf watches Vigil's own kinds. The others are watched here, for two reasons (docs/decisions/0008-what-kopf-watches.md).
What a reconcile reads must be exact: after a gap, a list is compared with the cache, and objects that are missing from
it are removed. And the values of a Secret must not stay in memory.

There is one stream for each kind and namespace. When it ends, the next one continues from the last resource version.
After a 410, and with backoff after an error, everything is listed again. A stream without changes is opened again now
and then, because a peer that vanished sends nothing.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import structlog

from vigil_operator.kube.cache import Cache, key_of
from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import FORBIDDEN, DeniedError, GoneError, KubeError, NotFoundError
from vigil_operator.kube.kinds import ADDRESSES, Kind, Object
from vigil_operator.metrics import Metrics
from vigil_runtime.backoff import KUBERNETES, Backoff, spread

log = structlog.get_logger(__name__)

QUIET_S: Final = 60.0
"""A stream without changes for so long is opened again, from the same resource version."""

PROOF_S: Final = 5.0
"""After an error, a stream that was not refused for so long counts as recovered."""

OPTIONAL_S: Final = 300.0
"""Between two attempts to list an optional kind that is not served."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The objects that one stream watches.

    Attributes
    ----------
    namespace
        None: all namespaces.
    labels, fields
        Selectors as Kubernetes writes them; empty: everything.
    among
        The same condition as the selectors, for a trimmed object.
    optional
        Whether the kind may be missing or forbidden without an error.
    metadata_only
        Whether the API server sends nothing but the metadata of each object.
    """

    kind: Kind
    namespace: str | None
    labels: str = ""
    fields: str = ""
    among: Callable[[Object], bool] = field(default=lambda _: True)
    optional: bool = False
    metadata_only: bool = False

    def covers(self, obj: Object) -> bool:
        """Return whether the stream would report an object."""
        return self.namespace in {None, obj["metadata"].get("namespace")} and self.among(obj)

    def __str__(self) -> str:
        return f"{ADDRESSES[self.kind].plural} in {self.namespace or 'all namespaces'}"


class Watch:
    """One stream, for as long as the operator runs."""

    def __init__(self, api: Api, cache: Cache, metrics: Metrics, scope: Scope) -> None:
        self._api = api
        self._cache = cache
        self._metrics = metrics
        self._scope = scope
        self._version = ""
        self._backoff = Backoff(*KUBERNETES)
        self.synced = asyncio.Event()
        """Set after the first list, or when the kind is not served."""
        self.recovered: Callable[[], None] = lambda: None
        """Called when there is a stream again after an error."""
        self.error = ""
        """Why there is no stream now; empty while there is one."""
        self._advice = ""

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                if not self._version or self.error:
                    await self._list()
                await self._follow()
            except GoneError:
                self._version = ""
                self._metrics.watch_restarts.labels(self._scope.kind.value).inc()
            except KubeError as error:
                await self._wait_after(error)

    async def _list(self) -> None:
        scope = self._scope
        objects, version = await self._api.list(
            scope.kind, scope.namespace, scope.labels, scope.fields, metadata_only=scope.metadata_only
        )
        for obj in objects:
            self._cache.put(scope.kind, obj)
        alive = {key_of(scope.kind, obj) for obj in objects}
        self._cache.retain(scope.kind, alive, int(version or 0), scope.covers)
        self._version = version
        self.synced.set()

    async def _follow(self) -> None:
        scope = self._scope
        stream = self._api.watch(
            scope.kind,
            scope.namespace,
            self._version,
            scope.labels,
            scope.fields,
            metadata_only=scope.metadata_only,
        )
        # After an error, a stream without changes would never show that it works again.
        quiet_s = PROOF_S if self.error else spread(QUIET_S)
        async with aclosing(stream):
            while True:
                try:
                    async with asyncio.timeout(quiet_s):
                        change, obj = await anext(stream)
                except TimeoutError:
                    self._clear_error()
                    return
                self._clear_error()
                self._observe(change, obj)

    def _observe(self, change: str, obj: Object) -> None:
        if change == "DELETED":
            self._cache.remove(self._scope.kind, obj)
        elif change in {"ADDED", "MODIFIED"}:
            self._cache.put(self._scope.kind, obj)
        self._version = obj["metadata"]["resourceVersion"]

    def _clear_error(self) -> None:
        self._backoff.reset()
        if self.error:
            log.info("watching again", what=str(self._scope))
            self.error = ""
            self.recovered()

    async def _wait_after(self, error: KubeError) -> None:
        if isinstance(error, NotFoundError):
            # The kind is not served (PodMonitor without its CRD), and nothing waits for it. Its objects stay in the
            # cache until it is served again and a list shows which of them are gone.
            self._version = ""
            self.synced.set()
        if self._scope.optional and isinstance(error, NotFoundError | DeniedError):
            self.synced.set()
            self.error = ""  # an API server that could not be reached before answers now
            await asyncio.sleep(spread(OPTIONAL_S))
            return
        self._set_error(error)
        self._metrics.watch_restarts.labels(self._scope.kind.value).inc()
        await asyncio.sleep(max(self._backoff.next_s(), error.retry_after_s or 0.0))

    def _set_error(self, error: KubeError) -> None:
        """Log one line for each outage, and another one when a person has to grant a permission."""
        advice = FORBIDDEN if isinstance(error, DeniedError) else ""
        if not self.error or advice != self._advice:
            effect = "trying again" if self.synced.is_set() else "trying again; nothing is reconciled until it succeeds"
            log.warning("cannot watch", what=str(self._scope), reason=f"{error}{advice}", effect=effect)
        self.error = f"{self._scope}: {error}{advice}"
        self._advice = advice
