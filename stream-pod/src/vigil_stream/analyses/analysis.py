"""The interface of an analysis: frames and detections in, events out.

Capture has blackened what a privacy mask covers. The frame pipeline skips frames without motion, asks each analysis to
detect, follows the detections, and hands both back. All methods are called on the analysis thread. An analysis that
needs a slow request runs it on a thread of its own, calls `observer.results_ready()`, and continues in `collect`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.analyses import AnalysisName
from vigil_contracts.events import CameraRef, CloseReason
from vigil_contracts.resources.camera import CameraSpec
from vigil_stream.observer import StreamObserver
from vigil_stream.pipeline.tracker import Track, Tracker
from vigil_stream.publish.event import OutgoingEvent
from vigil_stream.scene import Scene
from vigil_vision.detection import Detections
from vigil_vision.letterbox import Letterbox
from vigil_vision.triton import TritonClient

Emit: TypeAlias = Callable[[list[OutgoingEvent]], None]
"""Takes events in their order, all of one call or none; an empty list lets a refused event be written again."""


class Detected(NamedTuple):
    """The result of the request to a detector.

    Attributes
    ----------
    detections
        In pixels of the source; each becomes part of a track.
    endpoint
        The server that responded, as host:port.
    """

    detections: Detections
    endpoint: str


@dataclass(frozen=True, slots=True)
class AnalysisContext:
    """The camera, the client and the receivers of an analysis.

    Attributes
    ----------
    site, camera, session_id
        Part of every event.
    client
        Runs the models of the analysis by name.
    emit
        Takes its events.
    observer
        Takes its reports.
    """

    site: str
    camera: CameraRef
    session_id: str
    spec: CameraSpec
    client: TritonClient
    emit: Emit
    observer: StreamObserver


class Analysis(Protocol):
    """One analysis of the frames of one camera.

    Attributes
    ----------
    name
        As in `spec.analyses` of a Camera.
    tracker
        Follows its detections; the pipeline feeds it.
    """

    name: ClassVar[AnalysisName]
    tracker: Tracker

    @property
    def error(self) -> str:
        """The error of its last request beside detection; empty when that succeeded."""

    def counters(self) -> Mapping[str, int]:
        """Return its counts since the start by their names in `CameraCounters`."""

    def input_size(self) -> tuple[int, int] | None:
        """Return width and height in pixels when the detector takes one size only; raise InferenceError."""

    def detect(self, pixels: NDArray[np.uint8], letterbox: Letterbox) -> Detected:
        """Return the detections in the input [H,W,3] uint8 RGB of the detector; raise InferenceError."""

    def update(self, scene: Scene, tracks: Sequence[Track]) -> None:
        """Take an analysed frame; `tracks` holds the track of each of its detections, in order."""

    def keep_still(self, tracks: Sequence[Track], captured_at: float) -> None:
        """Take a frame without motion: these tracks are still there. Seconds since the epoch."""

    def collect(self) -> None:
        """Continue with the requests that were answered meanwhile."""

    def end(self, tracks: Sequence[Track], captured_at: float, reason: CloseReason) -> None:
        """Take the end of tracks that the tracker follows no longer. Seconds since the epoch."""

    def end_all(self, reason: CloseReason) -> None:
        """Clear the tracker and emit the last events: the source is lost or the process ends."""
