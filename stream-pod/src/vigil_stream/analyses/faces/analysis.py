"""The analysis of faces: from detections and tracks to sightings with best shots."""

import time
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.analyses import AnalysisName
from vigil_contracts.events import CloseReason, Sighting, Trace
from vigil_contracts.resources.camera import RecognitionMode
from vigil_stream.analyses.analysis import AnalysisContext, Detected
from vigil_stream.analyses.faces import fitness
from vigil_stream.analyses.faces.crowd import Crowd
from vigil_stream.analyses.faces.events import sighting_event
from vigil_stream.analyses.faces.fitness import Fitness
from vigil_stream.analyses.faces.patches import patches
from vigil_stream.analyses.faces.people import People
from vigil_stream.analyses.faces.shot_taker import ShotTaker, TakenShot
from vigil_stream.analyses.faces.sightings import SightingTracker
from vigil_stream.analyses.faces.still_faces import StillFaces
from vigil_stream.pipeline import geometry, motion, regions
from vigil_stream.pipeline.tracker import Track, Tracker
from vigil_stream.scene import Scene
from vigil_vision import detection
from vigil_vision.detection import Detections
from vigil_vision.faces.models import DetectorResult, FaceModels, TritonFaceModels
from vigil_vision.letterbox import Letterbox

DETECT_DEADLINE_S: Final = 2.0

FOLLOWED_SIZE: Final = 0.75
FOLLOWED_SCORE: Final = 0.85
"""Shares of the least size and of the least score that are enough for a face that is followed already: one at the limit
varies by a few percent from frame to frame, and would leave and return all day."""


class FaceAnalysis:
    """Turns the faces of one camera into revisions of sightings.

    Parameters
    ----------
    models
        Instead of those that the client of the context runs.
    """

    name: ClassVar[AnalysisName] = AnalysisName.FACES

    def __init__(self, context: AnalysisContext, models: FaceModels | None = None) -> None:
        self._spec = context.spec.detection
        self._source = context.spec.source
        self._models = models if models is not None else TritonFaceModels(context.client)
        self._emit_events = context.emit
        self._observer = context.observer
        self._regions = regions.polygons(self._spec.regions)
        self._sightings = SightingTracker(context.site, context.camera, context.session_id)
        self.tracker = Tracker()
        self.fitness = Fitness()
        self.crowd = Crowd(self._spec.max_faces)
        identify = context.spec.recognition.mode is RecognitionMode.IDENTIFY
        self.people = People(self._sightings, self._emit, StillFaces(self._spec.still_faces), identify=identify)
        self.taker = ShotTaker(self._models, self.fitness, context.observer, identify=identify)

    @property
    def error(self) -> str:
        """The error of the last embedding."""
        return self.taker.error

    def counters(self) -> Mapping[str, int]:
        """Return the embeddings, the errors while embedding, and the faces that were left out."""
        return {
            "embeddings": self.taker.embeddings,
            "inference_errors": self.taker.errors,
            "faces_left_out": self.crowd.left_out,
        }

    def input_size(self) -> tuple[int, int] | None:
        """Return width and height when the served detector takes one size only."""
        info = self._models.detector_info()
        return (info.width, info.height) if info.width and info.height else None

    def detect(self, pixels: NDArray[np.uint8], letterbox: Letterbox) -> Detected:
        """Return the faces that count for this camera."""
        started = time.perf_counter()
        result = self._models.detect(pixels, deadline_s=DETECT_DEADLINE_S)
        self._observer.observe_duration("detect", time.perf_counter() - started)
        found = self._select(result, letterbox)
        found.data["patch"] = patches(pixels, letterbox, found.landmarks)
        return Detected(found, result.endpoint)

    def _select(self, result: DetectorResult, box: Letterbox) -> Detections:
        """Return the faces that count; those that are only too small still count for the fitness of the camera."""
        least = self._spec.min_confidence_permille
        score = result.info.score_threshold if least is None else least / 1000
        found = detection.decode(
            result.values[0], box, score_threshold=score * FOLLOWED_SCORE, iou_threshold=result.info.nms_iou
        )
        certain, pixels = found.scores >= score, self._spec.min_face_pixels
        for small in found.face_pixels[certain & (found.face_pixels < pixels)]:
            self.fitness.add_face(float(small))
        found = found.select(found.face_pixels >= pixels * FOLLOWED_SIZE)
        if self._regions and len(found):
            centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
            shares = (centres / np.array([box.source_width, box.source_height])).astype(np.float32)
            found = found.select(regions.inside_any(shares, self._regions))
        followed = self.tracker.followed(found.boxes)
        counts = followed | ((found.scores >= score) & (found.face_pixels >= pixels))
        return self._limit(found.select(counts), followed[counts])

    def _limit(self, found: Detections, followed: NDArray[np.bool_]) -> Detections:
        """Return at most `maxFaces` faces: first those that are followed, then the largest; their order is kept."""
        most = self._spec.max_faces
        self.crowd.add(max(len(found) - most, 0), time.monotonic())
        if len(found) <= most:
            return found
        chosen = np.lexsort((-found.face_pixels, ~followed))[:most]
        return found.select(np.sort(chosen))

    def update(self, scene: Scene, tracks: Sequence[Track]) -> None:
        """Take shots of the faces, and bring their sightings up to date."""
        stretches = self.people.see(tracks, scene)
        self._keep(self.taker.take(scene, stretches))
        self.people.open_overdue(stretches, _trace(scene, None), scene.at)
        self._emit(self._sightings.keep_alive())
        self.fitness.found_from = _found_from(scene.letterbox, self._spec.min_face_pixels)
        lying = fitness.lying(self.taker.uprightness.turns, self._source.rotation, mirror=self._source.mirror)
        self._observer.set_fitness(*(lying or self.crowd.assess() or self.fitness.assess()))

    def keep_still(self, tracks: Sequence[Track], captured_at: float) -> None:
        """Extend the sightings of tracks that did not move."""
        if tracks:
            self.people.keep_still(tracks, tracks[0].last_seen, captured_at)
        self._emit(self._sightings.keep_alive())

    def _emit(self, revisions: list[Sighting]) -> None:
        self._emit_events([sighting_event(one) for one in revisions])

    def collect(self, *, wait: bool = False) -> None:
        """Keep the shots that were embedded meanwhile, and emit their sightings.

        Parameters
        ----------
        wait
            For the request under way; at most its deadline.
        """
        self._keep(self.taker.finished(wait=wait))

    def _keep(self, taken: list[TakenShot]) -> None:
        """Hand shots to the people whom they show."""
        for one in taken:
            trace = _trace(one.scene, one.embedded_at)
            self.people.take(one.stretch, one.shot, one.scene.at, one.limits, trace)

    def end(self, tracks: Sequence[Track], captured_at: float, reason: CloseReason) -> None:
        """Close the sightings of tracks that have ended."""
        if self.people.pending(tracks):
            # The last revision must hold the shot that is being embedded; it comes within its deadline.
            self._keep(self.taker.finished(wait=True))
        self.people.end(tracks, captured_at, reason)

    def end_all(self, reason: CloseReason) -> None:
        """Close all sightings; clear the error, which is of the past."""
        self._keep(self.taker.finished(wait=True))
        self.tracker.clear()
        self.people.end_all(time.time(), reason)
        self.taker.error = ""


def _found_from(box: Letterbox, least: int) -> float:
    """Return the width in source pixels from which faces are found: by the detector, and by the Camera's limit."""
    return max(motion.FOUND_FROM_PIXELS * box.source_width / box.scaled_width, float(least))


def _trace(scene: Scene, embedded_at: float | None) -> Trace:
    return Trace(
        captured_at=geometry.moment(scene.captured_at),
        detected_at=geometry.moment(scene.detected_at),
        embedded_at=geometry.moment(embedded_at) if embedded_at is not None else None,
    )
