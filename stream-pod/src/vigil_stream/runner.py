"""The process of one camera: starting, watching, ending.

Threads: the main one runs an event loop (bus, heartbeats, probes, watchdog); one captures; one analyses. gRPC adds
its own. A call into a decoder that never returns cannot be interrupted from within the process, so the process ends
with `EXIT_HUNG`; its supervisor starts it again, and the journal makes that lossless.

Memory: the README of this distribution lists the cost of each import, and what was left out for it.
"""

import asyncio
import contextlib
import ctypes
import datetime as dt
import gc
import logging
import signal
import threading
from pathlib import Path

from vigil_contracts.events import CameraHeartbeat, encode_heartbeat
from vigil_contracts.resources import Camera
from vigil_runtime.deadline import Deadline
from vigil_runtime.health import HealthServer, Response, metrics, probe
from vigil_stream import factory
from vigil_stream.analyses.faces.events import sighting_event
from vigil_stream.analyses.faces.sightings import closed_after_restart
from vigil_stream.capture import Watchdog
from vigil_stream.publish.journal import keep_small
from vigil_stream.settings import Settings

log = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_USAGE = 2
"""The environment or the Camera file is wrong; starting again changes nothing."""
EXIT_HUNG = 70
"""A decoder, or the analysis, hung (EX_SOFTWARE of sysexits.h); start again."""
EXIT_STATE = 74
"""The state folder cannot be used, or the HTTP port is taken (EX_IOERR)."""

HEARTBEAT_S = 2.0
MIN_BETWEEN_HEARTBEATS_S = 0.1
"""A source that flaps must not flood the bus."""
WATCH_S = 1.0
PORT_FILE = "http.port"

_M_ARENA_MAX = -8
"""From glibc's malloc.h."""


class Runner:
    """Runs one camera until SIGTERM.

    Parameters
    ----------
    settings
        The settings of the process.
    camera
        To run.
    folder
        Where a relative `file:` starts.
    """

    def __init__(self, settings: Settings, camera: Camera, folder: Path) -> None:
        self._settings = settings
        self._camera = camera
        self._stop = threading.Event()
        self._changed = asyncio.Event()
        self._parts = factory.build(settings, camera, folder, stop=self._stop, changed=self._changed)
        self._threads: list[threading.Thread] = []
        self._logged_state: tuple[str, str, str] | None = None

    async def run(self) -> int:
        """Run and return the exit status.

        Raises
        ------
        ListenError
            The HTTP port is taken.
        """
        ending = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ending.set)
        self._close_orphans()
        server = await self._serve()
        publishing = asyncio.create_task(self._parts.publisher.run())
        tending = asyncio.create_task(keep_small(self._parts.journal))
        beating = asyncio.create_task(self._beat())
        watching = asyncio.create_task(self._watch())
        self._start_threads()
        asked_to_end = asyncio.create_task(ending.wait())
        done, _ = await asyncio.wait(
            {publishing, tending, beating, watching, asked_to_end}, return_when=asyncio.FIRST_COMPLETED
        )
        code = EXIT_HUNG if watching in done else EXIT_OK
        for task in done - {asked_to_end, watching}:
            # None of them ends by itself: a new process is better than half of one.
            log.error("a part of the process failed", exc_info=task.exception())
            code = EXIT_HUNG
        beating.cancel()
        tending.cancel()
        await self._end(publishing, server, hung=code == EXIT_HUNG)
        return code

    def _close_orphans(self) -> None:
        """Close the sightings that a killed process left open."""
        now = dt.datetime.now(dt.UTC)
        orphans = self._parts.journal.open_sightings()
        self._parts.journal_writer.write([sighting_event(closed_after_restart(orphan, now)) for orphan in orphans])
        if orphans:
            log.warning("closed sightings of the previous process", extra={"fields": {"count": len(orphans)}})

    async def _serve(self) -> HealthServer:
        server = HealthServer({"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics})
        port = await server.start(self._settings.http_host, self._settings.http_port)
        (self._settings.state_dir / PORT_FILE).write_text(f"{port}\n")
        fields = {"url": f"http://{self._settings.http_host}:{port}"}
        log.info("serving probes and metrics", extra={"fields": fields})
        return server

    def _start_threads(self) -> None:
        if self._camera.spec.suspend:
            self._parts.status.suspended()
            return
        for name, run in (("capture", self._parts.capture.run), ("analysis", self._parts.analysis.run)):
            # Daemons: a hung decoder must not keep the process from ending.
            thread = threading.Thread(target=run, args=(self._stop,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        # The objects made until now stay; the collector need not visit them again and again.
        gc.collect()
        gc.freeze()

    async def _beat(self) -> None:
        """Publish the state every two seconds and after each change."""
        while True:
            self._changed.clear()
            await self._publish_heartbeat()
            await asyncio.sleep(MIN_BETWEEN_HEARTBEATS_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S - MIN_BETWEEN_HEARTBEATS_S):
                    await self._changed.wait()

    async def _publish_heartbeat(self) -> None:
        beat = self._parts.status.heartbeat()
        self._log_change(beat)
        await self._parts.publisher.publish_heartbeat(encode_heartbeat(beat, dt.datetime.now(dt.UTC)))

    def _log_change(self, beat: CameraHeartbeat) -> None:
        state = (beat.state, beat.reason, beat.message)
        if state != self._logged_state:
            self._logged_state = state
            level = (
                logging.INFO if beat.state in {"Streaming", "Connecting", "Suspended", "Stopped"} else logging.WARNING
            )
            fields = {"state": beat.state.value, "reason": beat.reason.value, "message": beat.message}
            log.log(level, "camera state changed", extra={"fields": fields})

    async def _watch(self) -> None:
        """Return when a thread hangs."""
        while True:
            await asyncio.sleep(WATCH_S)
            for watchdog in self._watchdogs():
                if watchdog.expired():
                    fields = {"activity": watchdog.activity}
                    log.critical("thread hangs; ending to be started again", extra={"fields": fields})
                    self._parts.status.hung(watchdog.activity)
                    return

    def _watchdogs(self) -> tuple[Watchdog, Watchdog]:
        return self._parts.capture_watchdog, self._parts.analysis_watchdog

    async def _end(self, publishing: "asyncio.Task[None]", server: HealthServer, *, hung: bool) -> None:
        """Close sightings, send waiting events and the last state, all within one deadline."""
        parts, deadline_s = self._parts, self._settings.shutdown_deadline_s
        deadline = Deadline(deadline_s)
        self._stop.set()
        self._abandon_inference()
        if not hung:
            # The capture thread may be in a read for seconds; nothing waits for it.
            for thread in self._threads[1:]:
                await _joined(thread, deadline.left(deadline_s / 2))
            parts.status.stopped()
        publishing.cancel()
        await asyncio.wait({publishing}, timeout=deadline.left(1))
        await parts.publisher.flush(deadline.left() * 0.7)
        await self._publish_heartbeat()
        await parts.publisher.close(deadline.left() * 0.7)
        await server.close(deadline.left())
        parts.client.close()

    def _abandon_inference(self) -> None:
        """Break off a request to inference that is not answered: waiting for it would not help."""
        status = self._parts.status
        if status.inference_endpoint is None or status.errors.get("inference"):
            self._parts.analysis.inference_abandoned = True
            # On a thread, because it may ask the server to release shared memory.
            threading.Thread(target=self._parts.client.close, name="close inference", daemon=True).start()

    def _healthz(self) -> Response:
        hung = [watchdog.activity for watchdog in self._watchdogs() if watchdog.expired()]
        return probe({"threads": f"{hung[0]} does not return" if hung else ""})

    def _readyz(self) -> Response:
        """Return readiness to analyse and publish; the heartbeat reports a camera that is off, not the pod."""
        errors = self._parts.status.errors
        bus = errors.get("bus", "") or ("" if self._parts.publisher.connected else "not connected yet")
        return probe(
            {
                "bus": bus,
                "inference": errors.get("inference", ""),
                "journal": errors.get("journal") or errors.get("counters", ""),
            }
        )

    def _metrics(self) -> Response:
        return metrics(self._parts.metrics.text())


async def _joined(thread: threading.Thread, deadline_s: float) -> None:
    """Wait for a thread on a thread of its own: those of the event loop may all be resolving names."""
    loop, joined = asyncio.get_running_loop(), asyncio.Event()

    def join() -> None:
        thread.join(deadline_s)
        loop.call_soon_threadsafe(joined.set)

    threading.Thread(target=join, name=f"await {thread.name}", daemon=True).start()
    await joined.wait()


def spare_memory() -> None:
    """Keep glibc from creating an arena for every thread: that saves several MiB at no cost here.

    The same as MALLOC_ARENA_MAX=2 in the environment, which only helps when it is set before the process starts.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
