"""Wires the parts of one camera's process."""

import asyncio
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vigil_contracts.events import CameraRef
from vigil_contracts.resources import Camera, SourceType
from vigil_runtime.bus import BusAddress
from vigil_stream.analyser import Analyser
from vigil_stream.analysis import AnalysisLoop
from vigil_stream.capture import Guard, Sampler, Source, make_source
from vigil_stream.capture.loop import CaptureLoop
from vigil_stream.capture.slot import Slot
from vigil_stream.counters import Counters
from vigil_stream.metrics import Metrics
from vigil_stream.pipeline.sightings import SightingBook
from vigil_stream.publish.bus import Publisher
from vigil_stream.publish.journal import Journal, Limits
from vigil_stream.settings import Settings
from vigil_stream.sink import Sink
from vigil_stream.status import Status
from vigil_vision.faces.models import TritonFaceModels
from vigil_vision.triton import TritonClient


@dataclass(frozen=True, slots=True)
class Parts:
    """What the runner starts, watches and ends."""

    journal: Journal
    status: Status
    counters: Counters
    metrics: Metrics
    publisher: Publisher
    sink: Sink
    client: TritonFaceModels
    capture: CaptureLoop
    capture_guard: Guard
    analysis: AnalysisLoop
    analysis_guard: Guard


def build(settings: Settings, camera: Camera, folder: Path, *, stop: threading.Event, changed: asyncio.Event) -> Parts:
    """Make all parts; nothing is started or connected yet. On the event loop.

    Parameters
    ----------
    folder
        What a relative `file:` starts from.
    stop
        Ends the threads.
    changed
        Set after each change of the camera's state.

    Raises
    ------
    JournalError
        The state folder cannot be used.
    """
    loop = asyncio.get_running_loop()
    key = camera.metadata.key
    ref, session = CameraRef(namespace=key.namespace, name=key.name), uuid.uuid4().hex
    journal = Journal(settings.state_dir, Limits(settings.outbox_max_bytes, settings.outbox_max_events))
    status = Status(settings.site, ref, session, _from_any_thread(loop, changed.set))
    counters = Counters(journal, partial(status.wrong, "journal"))
    metrics = Metrics(status.heartbeat)
    status.observe_latency = metrics.observe_latency
    wrong, took = status.wrong, metrics.observe_stage
    address = BusAddress(settings.nats_url, settings.bus_token, settings.site)
    publisher = Publisher(journal, address, key, partial(wrong, "bus"), partial(took, "publish"))
    wake = _from_any_thread(loop, publisher.wake)
    sink = Sink(journal, counters, wake, partial(wrong, "outbox"), partial(took, "journal"))
    client = TritonFaceModels(TritonClient(settings.triton_endpoints, shared_memory=settings.shared_memory))
    book = SightingBook(settings.site, ref, session)
    slot, sampler, guards = Slot(), Sampler(camera.spec.sampling.fps), (Guard(), Guard())
    analyser = Analyser(camera.spec, client, book, sink.tell, took, slot.wake, settings.detector_side)
    live = camera.spec.source.type is not SourceType.FILE
    make = _source_maker(settings, camera, folder, guards[0], stop)
    capture = CaptureLoop(make, slot, status, sampler, guards[0], live=live)
    analysis = AnalysisLoop(analyser, slot, status, guards[1])
    _count(counters, sampler, slot, analyser, analysis)
    status.counters = counters.save
    status.outbox_pending = lambda: journal.pending
    return Parts(journal, status, counters, metrics, publisher, sink, client, capture, guards[0], analysis, guards[1])


def _source_maker(
    settings: Settings, camera: Camera, folder: Path, guard: Guard, stop: threading.Event
) -> Callable[[], Source]:
    source = camera.spec.source
    credentials = settings.source_credentials_dir if source.credentials_secret_ref is not None else None
    return partial(
        make_source,
        source,
        camera.spec.decode,
        folder=folder,
        credentials_folder=credentials,
        guard=guard,
        stop=stop,
    )


def _count(counters: Counters, sampler: Sampler, slot: Slot, analyser: Analyser, analysis: AnalysisLoop) -> None:
    counters.watch("frames_captured", lambda: sampler.captured)
    counters.watch("frames_dropped", lambda: slot.dropped)
    counters.watch("frames_analysed", lambda: analyser.analysed)
    counters.watch("frames_without_motion", lambda: analyser.still)
    counters.watch("frames_duplicate", lambda: analyser.duplicate)
    counters.watch("embeddings", lambda: analyser.taker.embeddings)
    counters.watch("inference_errors", lambda: analysis.errors + analyser.taker.errors)
    counters.watch("reconnects", lambda: analysis.losses)


def _from_any_thread(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> Callable[[], None]:
    """Make something of the event loop callable from other threads; after the loop's end it does nothing."""

    def call() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(act)

    return call
