"""Lists and watches of everything that is not one of Vigil's own kinds.

Vigil's own kinds are watched by kopf. The rest is watched here, for two reasons. What a reconcile reads must be exact:
after a gap, a list is compared with the cache and what is no longer there is told as deleted, which kopf leaves out
(its lists only add). And a Secret must not stay in memory: kopf keeps the last body of whatever it watches.

One stream per kind and namespace goes on from the last resource version after every end; 410 lists anew, and so does a
failure, after growing pauses; a stream without news is begun anew now and then, because a peer that vanished sends
nothing.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import structlog

from vigil_operator.kube.cache import Cache, key_of
from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import DeniedError, GoneError, KubeError, NotFoundError
from vigil_operator.kube.kinds import ADDRESSES, Kind, Object
from vigil_operator.metrics import Metrics
from vigil_runtime.backoff import Backoff

log = structlog.get_logger(__name__)

QUIET_S: Final = 60.0
"""A stream without news for so long is begun anew, from where it was."""

PROOF_S: Final = 5.0
"""A stream that was not refused within so long, after a list, is well."""

OPTIONAL_S: Final = 300.0
"""A kind that need not be there is looked for so often."""

FORBIDDEN: Final = "; grant the operator's account get, list and watch of it, as the chart's role does"


@dataclass(frozen=True, slots=True)
class Scope:
    """What one stream watches.

    Attributes
    ----------
    namespace
        None: all of them.
    labels, fields
        Selectors as Kubernetes writes them; empty: everything.
    among
        The same as the selectors, over a trimmed object.
    optional
        That the kind is not there, or may not be seen, is no trouble.
    """

    kind: Kind
    namespace: str | None
    labels: str = ""
    fields: str = ""
    among: Callable[[Object], bool] = field(default=lambda _: True)
    optional: bool = False

    def covers(self, obj: Object) -> bool:
        """Say whether the stream would tell of an object."""
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
        self._backoff = Backoff(0.5, 30.0)
        self.synced = asyncio.Event()
        """Set after the first list, or when there is no such kind."""
        self.recovered: Callable[[], None] = lambda: None
        """Called when there is a stream again after trouble."""
        self.trouble = ""
        """Why there is no stream now; empty while there is one."""
        self._told = ""

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                if not self._version or self.trouble:
                    await self._list()
                await self._follow()
            except GoneError:
                self._version = ""
                self._metrics.watch_restarts.labels(self._scope.kind.value).inc()
            except KubeError as error:
                await self._wait_after(error)

    async def _list(self) -> None:
        scope = self._scope
        objects, version = await self._api.list(scope.kind, scope.namespace, scope.labels, scope.fields)
        for obj in objects:
            self._cache.put(scope.kind, obj)
        alive = {key_of(scope.kind, obj) for obj in objects}
        self._cache.retain(scope.kind, alive, int(version or 0), scope.covers)
        self._version = version
        self.synced.set()

    async def _follow(self) -> None:
        scope = self._scope
        stream = self._api.watch(scope.kind, scope.namespace, self._version, scope.labels, scope.fields)
        # After trouble a stream without news would never tell that all is well again.
        quiet_s = PROOF_S if self.trouble else QUIET_S * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
        async with aclosing(stream):
            while True:
                try:
                    async with asyncio.timeout(quiet_s):
                        what, obj = await anext(stream)
                except TimeoutError:
                    self._well()
                    return
                self._well()
                self._note(what, obj)

    def _note(self, what: str, obj: Object) -> None:
        if what == "DELETED":
            self._cache.remove(self._scope.kind, obj)
        elif what in {"ADDED", "MODIFIED"}:
            self._cache.put(self._scope.kind, obj)
        self._version = obj["metadata"]["resourceVersion"]

    def _well(self) -> None:
        self._backoff.reset()
        if self.trouble:
            log.info("watching again", what=str(self._scope))
            self.trouble = ""
            self.recovered()

    async def _wait_after(self, error: KubeError) -> None:
        if isinstance(error, NotFoundError):
            # The kind itself is not served (PodMonitor without its CRD): nothing has to wait for it. What was seen of
            # it stays; the list when it is served again tells what is gone.
            self._version = ""
            self.synced.set()
        if self._scope.optional and isinstance(error, NotFoundError | DeniedError):
            self.synced.set()
            self.trouble = ""  # of an API server that was away before it could say so
            await asyncio.sleep(OPTIONAL_S * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load
            return
        self._tell(error)
        self._metrics.watch_restarts.labels(self._scope.kind.value).inc()
        await asyncio.sleep(max(self._backoff.next_s(), error.retry_after_s or 0.0))

    def _tell(self, error: KubeError) -> None:
        """Log one line per outage, and one more when it turns out that a person has to grant something."""
        told = FORBIDDEN if isinstance(error, DeniedError) else ""
        if not self.trouble or told != self._told:
            so = "it is tried again until it works" if self.synced.is_set() else "nothing is reconciled before it works"
            log.warning("cannot watch", what=str(self._scope), reason=f"{error}{told}", so=so)
        self.trouble = f"{self._scope}: {error}{told}"
        self._told = told
