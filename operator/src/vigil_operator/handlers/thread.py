"""kopf in a thread of its own, started again when it ends.

A thread, because kopf takes its event loop for its own: when it ends it cancels every task in it. Started again,
because kopf ends for what an operator has to live through: an API server that answers 5xx for a while, or a CRD that
is removed while it is watched. Which kinds there are is asked of the API server before each start and now and then
after it, so that the operator needs no right to read CRDs, and goes on when a CRD comes back.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, Final

import kopf
import structlog

from vigil_operator.handlers import cameras, sites, subjects
from vigil_operator.handlers.own import Tell
from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import KubeError
from vigil_operator.kube.kinds import ADDRESSES, OWN_KINDS, Kind
from vigil_operator.queue import Backoff

log = structlog.get_logger(__name__)

LOOK_S: Final = 10.0
"""How often the API server is asked which of Vigil's kinds it has."""
REGISTER: Final = {Kind.CAMERA: cameras.register, Kind.SUBJECT: subjects.register, Kind.SITE: sites.register}
PREFIX: Final = "vigil.dev"


def kopf_settings() -> kopf.OperatorSettings:
    """Give kopf's settings: names of our own for all that it might write, and nothing that writes."""
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = f"{PREFIX}/kopf"  # never added: there is no handler that would need it
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=PREFIX)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=PREFIX, key="last-handled")
    settings.peering.standalone = True  # the Lease does that
    settings.posting.enabled = False  # events are our own, on transitions only
    settings.scanning.disabled = True  # no right to read CRDs and namespaces needed
    settings.process.ultimate_exiting_timeout = None  # it would kill the process, not the thread
    settings.networking.request_timeout = 30.0
    settings.networking.connect_timeout = 5.0
    settings.networking.error_backoffs = (0.5, 1, 2)
    settings.watching.chunk_size = 500
    settings.watching.reconnect_backoff = 1.0
    settings.queueing.idle_timeout = 1.0
    return settings


class KopfThread:
    """Watches Vigil's own kinds for as long as the operator runs.

    Parameters
    ----------
    namespaces
        What is watched; none: everything.
    tell
        Takes what kopf saw; called on the event loop that `run` runs in.
    looked
        Called with the kinds that the API server has, each time it was asked.
    started
        Called after each start.
    """

    def __init__(
        self,
        api: Api,
        namespaces: tuple[str, ...],
        tell: Tell,
        looked: Callable[[set[Kind]], None],
        started: Callable[[], None],
    ) -> None:
        self._api = api
        self._namespaces = namespaces
        self._tell = tell
        self._looked = looked
        self._started = started
        self._backoff: Backoff[None] = Backoff(first_s=1.0, most_s=30.0)
        self.trouble = "not started yet"
        """For /readyz: why nothing is watched; empty while all is."""

    async def run(self) -> None:
        """Keep kopf running until cancelled."""
        while True:
            try:
                kinds = await self._kinds()
            except KubeError as error:
                self._say(f"the API server cannot be asked for Vigil's kinds: {error}")
                await asyncio.sleep(self._backoff.next_s(None))
                continue
            self._say_missing(kinds)
            if not kinds:
                self._started()
                await asyncio.sleep(LOOK_S)
                continue
            await self._run_while(kinds)

    async def _kinds(self) -> set[Kind]:
        served = await self._api.served()
        kinds = {kind for kind in OWN_KINDS if ADDRESSES[kind].plural in served}
        self._looked(kinds)
        return kinds

    async def _run_while(self, kinds: set[Kind]) -> None:
        """Run kopf until it ends or the kinds are others."""
        stop = threading.Event()
        running = asyncio.create_task(self._in_thread(kinds, stop))
        self._started()
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=LOOK_S)
                if running.done():
                    break
                self._backoff.forget(None)
                try:
                    now = await self._kinds()
                except KubeError:
                    continue
                if now != kinds:
                    return
            ended = running.result()
            self._say(f"kopf ended ({type(ended).__name__}: {ended}); it is started again")
            await asyncio.sleep(self._backoff.next_s(None))
        finally:
            stop.set()  # nothing waits for its end: it only reads
            running.cancel()

    async def _in_thread(self, kinds: set[Kind], stop: threading.Event) -> BaseException:
        """Run kopf until it ends; gives why."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException] = loop.create_future()

        def finish(error: BaseException) -> None:
            if not ended.done():
                ended.set_result(error)

        def tell(kind: Kind, what: str | None, obj: dict[str, object]) -> None:
            _on(loop, lambda: self._tell(kind, what, obj))

        def main() -> None:
            error: BaseException = RuntimeError("it ended by itself")
            try:
                asyncio.run(self._operator(kinds, tell, stop))
            except BaseException as raised:  # noqa: BLE001 - told to whoever waits
                error = raised
            _on(loop, lambda: finish(error))

        threading.Thread(target=main, name="kopf", daemon=True).start()
        return await ended

    async def _operator(self, kinds: set[Kind], tell: Tell, stop: threading.Event) -> None:
        logging.getLogger("kopf").setLevel(logging.CRITICAL)  # what ends it is told here, once
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry, id="login")(_log_in)
        for kind in sorted(kinds):
            REGISTER[kind](registry, tell)
        try:
            await kopf.operator(
                registry=registry,
                settings=kopf_settings(),
                stop_flag=stop,
                namespaces=list(self._namespaces),
                clusterwide=not self._namespaces,
            )
        finally:
            stop.set()  # kopf waits for it in a thread, and the end of the loop would wait for that thread

    def _say_missing(self, kinds: set[Kind]) -> None:
        missing = [ADDRESSES[kind].plural for kind in OWN_KINDS if kind not in kinds]
        if missing:
            group = ADDRESSES[Kind.CAMERA].group
            names = ", ".join(f"{plural}.{group}" for plural in missing)
            self._say(f"the API server has no {names}; install the CRDs: kubectl apply -f crds/")
        elif self.trouble:
            log.info("watching", kinds=sorted(kinds))
            self.trouble = ""

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning(trouble)
            self.trouble = trouble


async def _log_in(**given: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's
    """Use what the API client uses, in the same order."""
    return kopf.login_with_service_account(**given) or kopf.login_with_kubeconfig(**given)


def _on(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    """Do something on another thread's loop; after its end, nothing."""
    if not loop.is_closed():
        try:
            loop.call_soon_threadsafe(act)
        except RuntimeError:
            return
