"""Wires the parts of the process of one camera."""

import asyncio
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vigil_contracts.conditions import FitnessReason
from vigil_contracts.events import CameraRef
from vigil_contracts.resources import Camera, SourceType
from vigil_stream.analyses.analysis import AnalysisContext
from vigil_stream.analyses.catalogue import make_analyses
from vigil_stream.analysis_loop import AnalysisLoop
from vigil_stream.capture import Sampler, Watchdog, credentials, make_source
from vigil_stream.capture.liveness import Liveness
from vigil_stream.capture.loop import CaptureLoop
from vigil_stream.capture.retries import Retries
from vigil_stream.capture.slot import Slot
from vigil_stream.capture.upright import Upright
from vigil_stream.counters import Counters
from vigil_stream.frame_pipeline import FramePipeline
from vigil_stream.journal_writer import JournalWriter
from vigil_stream.masking import FrameMask
from vigil_stream.metrics import Metrics
from vigil_stream.observer import Part
from vigil_stream.pipeline.regions import polygons
from vigil_stream.publish.bus import Publisher
from vigil_stream.publish.journal import Journal, Limits
from vigil_stream.settings import Settings
from vigil_stream.status import Status
from vigil_vision.triton import TritonClient


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that the runner starts, watches and ends."""

    journal: Journal
    status: Status
    counters: Counters
    metrics: Metrics
    publisher: Publisher
    journal_writer: JournalWriter
    client: TritonClient
    capture: CaptureLoop
    capture_watchdog: Watchdog
    analysis: AnalysisLoop
    analysis_watchdog: Watchdog


@dataclass(frozen=True, slots=True)
class ProcessObserver:
    """Hands reports to the status, the metrics, the publisher and the analysis thread."""

    status: Status
    metrics: Metrics
    slot: Slot
    wake_publisher: Callable[[], None]

    def set_error(self, part: Part, message: str) -> None:
        """Record the error of a part in the status."""
        self.status.set_error(part, message)

    def observe_duration(self, stage: str, seconds: float) -> None:
        """Record a duration in the metrics."""
        self.metrics.observe_stage(stage, seconds)

    def set_fitness(self, reason: FitnessReason, message: str) -> None:
        """Record the fitness in the status."""
        self.status.set_fitness(reason, message)

    def events_recorded(self) -> None:
        """Wake the publisher."""
        self.wake_publisher()

    def results_ready(self) -> None:
        """Wake the analysis thread."""
        self.slot.wake()


def build(settings: Settings, camera: Camera, folder: Path, *, stop: threading.Event, changed: asyncio.Event) -> Parts:
    """Return all parts; nothing is started or connected yet. On the event loop.

    Parameters
    ----------
    folder
        Where a relative `file:` starts.
    stop
        Ends the threads.
    changed
        Set after each change of the state of the camera.

    Raises
    ------
    JournalError
        The state folder cannot be used.
    """
    loop = asyncio.get_running_loop()
    key, spec = camera.metadata.key, camera.spec
    ref, session = CameraRef(namespace=key.namespace, name=key.name), uuid.uuid4().hex
    journal = Journal(settings.state_dir, Limits(settings.journal_max_bytes, settings.journal_max_events))
    status = Status(settings.site, ref, session, _from_any_thread(loop, changed.set))
    metrics, slot, new_events = Metrics(status.heartbeat), Slot(), asyncio.Event()
    status.observe_latency = metrics.observe_latency
    observer = ProcessObserver(status, metrics, slot, _from_any_thread(loop, new_events.set))
    counters = Counters(journal, observer)
    publisher = Publisher(journal, settings.bus_address, key, observer, new_events)
    writer = JournalWriter(journal, counters, observer)
    client = TritonClient(settings.triton_endpoints, shared_memory=settings.shared_memory)
    analyses = make_analyses(AnalysisContext(settings.site, ref, session, spec, client, writer.write, observer))
    pipeline = FramePipeline(spec, analyses, observer, client.frame_buffer, settings.detector_side)
    sampler, watchdogs = Sampler(spec.sampling.fps), (Watchdog(), Watchdog())
    capture = _capture(settings, camera, folder, slot, status, sampler=sampler, watchdog=watchdogs[0], stop=stop)
    analysis = AnalysisLoop(pipeline, slot, status, watchdogs[1])
    _watch_counters(counters, sampler, slot, pipeline, analysis)
    status.counters = counters.save
    status.journal_pending = lambda: journal.pending
    return Parts(
        journal, status, counters, metrics, publisher, writer, client, capture, watchdogs[0], analysis, watchdogs[1]
    )


def _capture(  # noqa: PLR0913 - all that the thread works with
    settings: Settings,
    camera: Camera,
    folder: Path,
    slot: Slot,
    status: Status,
    *,
    sampler: Sampler,
    watchdog: Watchdog,
    stop: threading.Event,
) -> CaptureLoop:
    source = camera.spec.source
    secret = settings.source_credentials_dir if source.credentials_secret_ref is not None else None
    liveness = Liveness(source.stall_timeout_seconds, status.notice)
    make = partial(
        make_source,
        source,
        camera.spec.decode,
        folder=folder,
        credentials_folder=secret,
        watchdog=watchdog,
        stop=stop,
        liveness=liveness,
    )
    masks = polygons(camera.spec.detection.privacy_masks)
    return CaptureLoop(
        make,
        slot,
        status,
        sampler,
        watchdog,
        live=source.type is not SourceType.FILE,
        upright=Upright(source.rotation, mirror=source.mirror),
        masked=FrameMask(masks).applied if masks else None,
        liveness=liveness,
        retries=Retries(partial(credentials.held, secret, source)),
    )


def _watch_counters(
    counters: Counters, sampler: Sampler, slot: Slot, pipeline: FramePipeline, analysis: AnalysisLoop
) -> None:
    counters.watch("frames_captured", lambda: sampler.captured)
    counters.watch("frames_dropped", lambda: slot.dropped)
    counters.watch("frames_damaged", lambda: sampler.corrupt)
    counters.watch("frames_left_out", lambda: sampler.left_out)
    counters.watch("frames_undecoded", lambda: sampler.skipped)
    counters.watch("frames_analysed", lambda: pipeline.analysed)
    counters.watch("frames_without_motion", lambda: pipeline.without_motion)
    counters.watch("frames_duplicate", lambda: pipeline.duplicates)
    counters.watch("faces_left_out", lambda: pipeline.count("faces_left_out"))
    counters.watch("embeddings", lambda: pipeline.count("embeddings"))
    counters.watch("inference_errors", lambda: analysis.errors + pipeline.count("inference_errors"))
    counters.watch("reconnects", lambda: analysis.losses)


def _from_any_thread(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> Callable[[], None]:
    """Return `act` as a call from any thread; after the end of the event loop it does nothing."""

    def call() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(act)

    return call
