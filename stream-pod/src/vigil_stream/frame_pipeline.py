"""The way of one frame: motion gate, detection, tracks, then the analyses.

Requests to the served models are the only I/O here. Runs on one thread.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.events import CloseReason
from vigil_contracts.resources.camera import CameraSpec
from vigil_stream.analyses.analysis import Analysis
from vigil_stream.capture.convert import Converter
from vigil_stream.capture.slot import Frame
from vigil_stream.detector_input import DetectorInput
from vigil_stream.observer import StreamObserver
from vigil_stream.pipeline import regions
from vigil_stream.pipeline.motion import FOUND_FROM_PIXELS, FrameAction, MotionDecision, MotionGate
from vigil_stream.pipeline.tracker import Track
from vigil_stream.scene import Scene


@dataclass(frozen=True, slots=True, eq=False)
class _Lane:
    """One analysis with the input of its detector."""

    analysis: Analysis
    input: DetectorInput


class FramePipeline:
    """Hands the frames of one camera to its analyses.

    Parameters
    ----------
    analyses
        At least one. A frame in which one of them cannot detect is handed to none.
    make_buffer
        Returns an image [height,width,3] uint8 of zeros for the input of a detector.
    detector_side
        Longest side of that input in pixels, when the detector takes any size.
    """

    def __init__(
        self,
        spec: CameraSpec,
        analyses: Sequence[Analysis],
        observer: StreamObserver,
        make_buffer: Callable[[int, int], NDArray[np.uint8]],
        detector_side: int = 640,
    ) -> None:
        gate = spec.sampling.motion_gate
        threshold = gate.threshold_permille / 1000 if gate.enabled else None
        self._gate = MotionGate(threshold, duplicates=spec.sampling.duplicate_filter.enabled)
        self._converter = Converter()
        mask = regions.PrivacyMask(regions.polygons(spec.detection.privacy_masks))
        self._lanes = [
            _Lane(one, DetectorInput(self._converter, mask, one.input_size, make_buffer, detector_side))
            for one in analyses
        ]
        self._observer = observer
        self._detector_side, self._min_face_pixels = detector_side, spec.detection.min_face_pixels
        self._size = (0, 0)
        self.endpoint: str | None = None
        """The server that detected in the last analysed frame, as host:port."""
        self.analysed = self.without_motion = self.duplicates = 0

    @property
    def analyses(self) -> list[Analysis]:
        """The analyses in the order of the spec."""
        return [lane.analysis for lane in self._lanes]

    @property
    def error(self) -> str:
        """The first error of a request beside detection; empty when the last requests succeeded."""
        return next((one.error for one in self.analyses if one.error), "")

    def count(self, name: str) -> int:
        """Return the sum of one counter over the analyses."""
        return sum(one.counters().get(name, 0) for one in self.analyses)

    def process(self, frame: Frame) -> float | None:
        """Take the next frame.

        Returns
        -------
        Seconds from capture to detections; None when the frame was not worth an analysis.

        Raises
        ------
        InferenceError
            The frame could not be analysed; the next one may be.
        """
        self.collect()
        decision = self._check_motion(frame)
        if decision.cut or frame.cut:
            for one in self.analyses:
                one.end(one.tracker.clear(), frame.captured_at, CloseReason.CUT)
        if decision.action is not FrameAction.ANALYSE:
            self._skip(frame, decision.action)
            return None
        try:
            scenes = self._detect(frame)
        except Exception:
            self._gate.forget()
            raise
        self.analysed += 1
        for one, scene in zip(self.analyses, scenes, strict=True):
            _follow(one, scene)
        return scenes[-1].detected_at - frame.captured_at

    def _check_motion(self, frame: Frame) -> MotionDecision:
        started = time.perf_counter()
        tracking = any(one.tracker.tracks for one in self.analyses)
        if (size := (frame.decoded.width, frame.decoded.height)) != self._size:
            self._size = size
            found_from = FOUND_FROM_PIXELS * max(size) / self._detector_side
            self._gate.fit(*size, max(found_from, self._min_face_pixels))
        decision = self._gate.check(frame.luma.grey, frame.luma.fingerprint, frame.at, tracking=tracking)
        self._observer.observe_duration("motion", time.perf_counter() - started)
        return decision

    def _skip(self, frame: Frame, action: FrameAction) -> None:
        if action is FrameAction.SKIP_DUPLICATE:
            self.duplicates += 1
        else:
            self.without_motion += 1
        for one in self.analyses:
            one.tracker.keep_still(frame.at)
            present: list[Track] = [track for track in one.tracker.tracks if track.last_seen == frame.at]
            one.keep_still(present, frame.captured_at)

    def _detect(self, frame: Frame) -> list[Scene]:
        started = time.perf_counter()
        decoded = self._converter.in_memory(frame.decoded)
        scenes = []
        for lane in self._lanes:
            before, box = lane.input.letterbox, lane.input.fit(decoded.width, decoded.height)
            if before is not None and box is not before:
                scale = box.source_width / before.source_width, box.source_height / before.source_height
                lane.analysis.tracker.rescale(*scale)
            lane.input.write(decoded, box)
            self._observer.observe_duration("convert", time.perf_counter() - started)
            found = lane.analysis.detect(lane.input.pixels, box)
            self.endpoint = found.endpoint
            times = frame.captured_at, time.time(), frame.at
            scenes.append(Scene(box, lane.input.pixels, found.detections, *times, decoded, self._converter))
            started = time.perf_counter()
        return scenes

    def collect(self) -> None:
        """Continue the analyses with the requests that were completed meanwhile."""
        for one in self.analyses:
            one.collect()

    def end_all(self, reason: CloseReason) -> None:
        """End everything that is followed: the source is lost, or the process ends."""
        for one in self.analyses:
            one.end_all(reason)
        self._gate.forget()

    def idle(self, at: float) -> None:
        """End what was not seen for long, while no frame is analysed; `at` on the monotonic clock."""
        self.collect()
        for one in self.analyses:
            one.end(one.tracker.take_stale(at), time.time(), CloseReason.LEFT)


def _follow(analysis: Analysis, scene: Scene) -> None:
    boxes = [(b[0], b[1], b[2], b[3]) for b in scene.detections.boxes.tolist()]
    update = analysis.tracker.update(boxes, scene.at, scene.detections.data.get("patch"))
    analysis.end(update.lost, scene.captured_at, CloseReason.LEFT)
    analysis.update(scene, update.assigned)
