"""One scene through the stream's pipeline; the revisions that it emits, with the truth beside them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from bench.gate.models import LocalModels
from bench.gate.scenes import HEIGHT, WIDTH, Painter, Place, Scene
from vigil_contracts.conditions import FitnessReason
from vigil_contracts.events import Box, CameraRef, CloseReason, Sighting
from vigil_contracts.resources.camera import CameraSpec
from vigil_stream.analyses.analysis import AnalysisContext
from vigil_stream.analyses.faces.analysis import FaceAnalysis
from vigil_stream.capture.luma import LumaReader
from vigil_stream.capture.slot import Frame
from vigil_stream.frame_pipeline import FramePipeline
from vigil_stream.observer import Part
from vigil_stream.publish.event import OutgoingEvent
from vigil_vision.triton import TritonClient

EPOCH = 1_780_000_000.0
"""When scenes begin, in seconds since the epoch."""

NEAR = 0.9
"""Distance in face widths within which a point belongs to a face."""


class Silent:
    """An observer that drops all reports."""

    def set_error(self, part: Part, message: str) -> None:
        """Drop an error."""

    def observe_duration(self, stage: str, seconds: float) -> None:
        """Drop a duration."""

    def set_fitness(self, reason: FitnessReason, message: str) -> None:
        """Drop the fitness."""

    def events_recorded(self) -> None:
        """Do nothing."""

    def results_ready(self) -> None:
        """Do nothing: `play` waits for every result."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place at which a revision has somebody, at a moment in seconds from the scene's start."""

    at: float
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Played:
    """The revisions of a scene in order, and where the visits were in each frame."""

    revisions: Sequence[Sighting]
    truth: Sequence[tuple[float, dict[int, Place]]]

    def visit_at(self, point: Point) -> int | None:
        """Return the number of the visit whose face is nearest to a point; None when none is near."""
        _, places = min(self.truth, key=lambda moment: abs(moment[0] - point.at))
        found = [
            (float(np.hypot(x - point.x, y - point.y)) / width, number) for number, (x, y, width) in places.items()
        ]
        distance, number = min(found, default=(NEAR, None))
        return number if distance < NEAR and number is not None and number >= 0 else None

    def visits(self, revision: Sighting) -> list[int]:
        """Return the visits that a revision holds: by its shots, and by where it was seen last."""
        points = [_point(shot.captured_at, shot.box) for shot in revision.shots]
        points.append(_point(revision.last_seen_at, revision.box))
        found = {number for point in points if (number := self.visit_at(point)) is not None}
        return sorted(found)


def _point(at: dt.datetime, box: Box) -> Point:
    return Point(at.timestamp() - EPOCH, (box.x + box.width / 2) * WIDTH, (box.y + box.height / 2) * HEIGHT)


def play(models: LocalModels, scene: Scene, fps: int, seed: int) -> Played:
    """Run a scene; every result of the embedder is there before the next frame."""
    revisions: list[Sighting] = []
    truth: list[tuple[float, dict[int, Place]]] = []
    pipeline, faces = _pipeline(models, fps, revisions)
    reader = LumaReader()

    def show(at: float, pixels: NDArray[np.uint8]) -> None:
        decoded = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
        pipeline.process(Frame(decoded, reader.read(decoded), EPOCH + at, 1000.0 + at))
        faces.settle()

    painter = Painter(seed)
    for at, pixels, places in painter.frames(scene, fps):
        truth.append((at, places))
        show(at, pixels)
    pipeline.end_all(CloseReason.SHUTDOWN)
    return Played(revisions, truth)


def _pipeline(models: LocalModels, fps: int, revisions: list[Sighting]) -> tuple[FramePipeline, "_Faces"]:
    def emit(events: list[OutgoingEvent]) -> None:
        revisions.extend(event.sighting for event in events if event.sighting is not None)

    source = {"type": "File", "url": "file:gate.mp4"}
    spec = CameraSpec.model_validate({"source": source, "sampling": {"fps": fps}})
    client = TritonClient(["127.0.0.1:1"], shared_memory="off")
    camera = CameraRef(namespace="bench", name="gate")
    observer = Silent()
    analysis = FaceAnalysis(AnalysisContext("bench", camera, "bench", spec, client, emit, observer), models)
    pipeline = FramePipeline(spec, [analysis], observer, lambda height, width: np.zeros((height, width, 3), np.uint8))
    return pipeline, _Faces(analysis)


class _Faces:
    """Waits for the embeddings of a frame."""

    def __init__(self, analysis: FaceAnalysis) -> None:
        self._analysis = analysis

    def settle(self) -> None:
        self._analysis.collect(wait=True)
