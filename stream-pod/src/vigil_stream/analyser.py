"""The way of one picture: gate, detect, track, look, embed, tell. Inference is the only I/O here.

Runs on one thread.
"""

import datetime as dt
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.events import CloseReason, Sighting, Trace
from vigil_contracts.resources.camera import CameraSpec, RecognitionMode
from vigil_stream.capture.convert import Converter
from vigil_stream.capture.slot import Picture
from vigil_stream.inference import Inference
from vigil_stream.pipeline import places, regions
from vigil_stream.pipeline.fitness import Fitness
from vigil_stream.pipeline.motion import MotionGate, Verdict
from vigil_stream.pipeline.shots import Shots
from vigil_stream.pipeline.sightings import SightingBook
from vigil_stream.pipeline.tracker import Track, Tracker
from vigil_stream.shot_taker import Scene, ShotTaker, Taken
from vigil_vision import detection, letterbox
from vigil_vision.detection import Detections
from vigil_vision.faces.models import DetectorResult
from vigil_vision.letterbox import Letterbox

DETECT_DEADLINE_S = 2.0

WAIT_FOR_SHOT_S = 1.5
"""How long a sighting's first word waits for the embedding of a shot; then it is told without."""


class Analyser:
    """Turns the pictures of one camera into revisions of sightings.

    Parameters
    ----------
    spec
        The camera's.
    client
        Inference.
    book
        Keeps the sightings.
    tell
        Takes revisions, in order.
    took
        Takes the name of a stage and its seconds.
    ready
        Called from another thread when `collect` has something to do.
    detector_side
        Longest side of the detector's input in pixels, when the model takes any.
    """

    def __init__(
        self,
        spec: CameraSpec,
        client: Inference,
        book: SightingBook,
        tell: Callable[[list[Sighting]], None],
        took: Callable[[str, float], None],
        ready: Callable[[], None],
        detector_side: int = 640,
    ) -> None:
        self._wanted = spec.detection
        self._client = client
        self._book = book
        self._tell = tell
        self._took = took
        self._side = detector_side
        gate = spec.sampling.motion_gate
        threshold = gate.threshold_permille / 1000 if gate.enabled else None
        self._gate = MotionGate(threshold, duplicates=spec.sampling.duplicate_filter.enabled)
        self._mask = regions.PrivacyMask(regions.polygons(spec.detection.privacy_masks))
        self._regions = regions.polygons(spec.detection.regions)
        self._tracker = Tracker()
        self._shots: dict[int, Shots] = {}
        self._converter = Converter()
        self._letterbox: Letterbox | None = None
        self._buffer: NDArray[np.uint8] = np.empty((0, 0, 3), np.uint8)
        self.fitness = Fitness()
        identify = spec.recognition.mode is RecognitionMode.IDENTIFY
        self.taker = ShotTaker(
            client, self._converter, self._mask, identify=identify, fitness=self.fitness, took=took, ready=ready
        )
        self.endpoint: str | None = None
        self.analysed = self.still = self.duplicate = 0

    def picture(self, picture: Picture) -> float | None:
        """Take the next picture.

        Returns
        -------
        Seconds from capture to detections; None when the picture was not worth analysing.

        Raises
        ------
        InferenceError
            The picture could not be analysed; the next one may be.
        """
        self.collect()
        started = time.perf_counter()
        grey, faces_in_view = picture.luma.grey, bool(self._tracker.tracks)
        self._mask.blacken(grey)
        looked = self._gate.look(grey, picture.luma.fingerprint, picture.at, faces_in_view=faces_in_view)
        self._took("motion", time.perf_counter() - started)
        if looked.cut or picture.cut:
            self._end(self._tracker.clear(), picture.captured_at, CloseReason.CUT)
        if looked.verdict is not Verdict.ANALYSE:
            self._nothing_moved(picture, looked.verdict)
            return None
        try:
            scene = self._detect(picture)
        except Exception:
            self._gate.forget()
            raise
        self.analysed += 1
        self._follow(scene)
        return scene.detected_at - picture.captured_at

    def _nothing_moved(self, picture: Picture, verdict: Verdict) -> None:
        if verdict is Verdict.DUPLICATE:
            self.duplicate += 1
        else:
            self.still += 1
        self._tracker.still(picture.at)
        for track in self._tracker.tracks:
            if track.last_seen == picture.at:
                self._book.still(track.track_id, places.moment(picture.captured_at))
        self._tell(self._book.keep_alive())

    def _detect(self, picture: Picture) -> Scene:
        started = time.perf_counter()
        frame = self._converter.in_memory(picture.frame)
        box = self._fit(frame.width, frame.height)
        self._converter.letterboxed(frame, box, self._buffer)
        self._mask.blacken(self._buffer[: box.scaled_height, : box.scaled_width])
        converted = time.perf_counter()
        self._took("convert", converted - started)
        answer = self._client.detect(self._buffer, deadline_s=DETECT_DEADLINE_S)
        self._took("detect", time.perf_counter() - converted)
        self.endpoint = answer.endpoint
        faces = self._count(answer, box)
        return Scene(frame, box, self._buffer, faces, picture.captured_at, time.time(), picture.at)

    def _count(self, answer: DetectorResult, box: Letterbox) -> Detections:
        """Leave out what does not count as a face here; faces that are only too small still tell about the camera."""
        wanted = self._wanted
        least = wanted.min_confidence_permille
        threshold = answer.info.score_threshold if least is None else least / 1000
        found = detection.decode(answer.values[0], box, score_threshold=threshold, iou_threshold=answer.info.nms_iou)
        for pixels in found.face_pixels[found.face_pixels < wanted.min_face_pixels]:
            self.fitness.face(float(pixels))
        found = detection.filter_faces(found, min_face_pixels=wanted.min_face_pixels)
        if self._regions and len(found):
            centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
            shares = (centres / np.array([box.source_width, box.source_height])).astype(np.float32)
            found = found.select(regions.inside_any(shares, self._regions))
        return detection.filter_faces(found, max_faces=wanted.max_faces)

    def _fit(self, width: int, height: int) -> Letterbox:
        """Give the letterbox for a picture's size, with a buffer of its size; both are kept until the size changes."""
        before = self._letterbox
        if before is not None and (before.source_width, before.source_height) == (width, height):
            return before
        card = self._client.detector_info()
        if card.width and card.height:
            box = letterbox.exact(width, height, card.width, card.height)
        else:
            box = letterbox.fit(width, height, self._side, self._side)
        if before is not None:
            self._tracker.rescale(width / before.source_width, height / before.source_height)
        self._buffer = self._client.frame_buffer(box.height, box.width)
        self._letterbox = box
        return box

    def _follow(self, scene: Scene) -> None:
        boxes = [(b[0], b[1], b[2], b[3]) for b in scene.faces.boxes.tolist()]
        update = self._tracker.update(boxes, scene.at)
        self._end(update.lost, scene.captured_at, CloseReason.LEFT)
        shots = [self._shots.setdefault(track.track_id, Shots()) for track in update.assigned]
        taken = self.taker.take(scene, update.assigned, shots)
        for track, own in zip(update.assigned, shots, strict=True):
            self._note(track, own, scene)
        self._keep(taken)
        self._tell(self._book.keep_alive())

    def _note(self, track: Track, shots: Shots, scene: Scene) -> None:
        """Note a face in its sighting, and open it when no shot is to be waited for.

        One detection alone, not good enough to embed, does not make a sighting.
        """
        if self._book.knows(track.track_id):
            self._see(track, scene)
            return
        waits = (shots.pending or shots.postponed) and scene.at - track.first_seen < WAIT_FOR_SHOT_S
        if track.hits >= 2 and not waits:
            self._see(track, scene)
            self._tell([self._book.tell(track.track_id, [], _trace(scene, None))])

    def _see(self, track: Track, scene: Scene) -> None:
        """Bring a track's sighting up to date; the scene tells how the two clocks stand to each other."""
        epoch = scene.captured_at - scene.at
        box = places.share_box(track.box, scene.frame.width, scene.frame.height)
        since, seen = places.moment(epoch + track.first_seen), places.moment(epoch + track.last_seen)
        self._book.seen(track.track_id, seen, box, since=since, frames=track.hits)

    def collect(self) -> None:
        """Keep the shots that were embedded meanwhile, and tell of them."""
        self._keep(self.taker.finished())

    def _keep(self, taken: list[Taken]) -> None:
        """Keep shots and tell of them; a face that turned out to be another person's gets a track of its own."""
        for one in taken:
            track = one.track
            if not one.same_person:
                if track not in self._tracker.tracks:
                    continue
                self._end([track], one.scene.captured_at, CloseReason.CUT)
                track = self._tracker.split(track)
            track.doubtful = False
            shots = self._shots.setdefault(track.track_id, Shots())
            shots.keep(one.kept, one.scene.at)
            self._see(track, one.scene)
            told = self._book.tell(
                track.track_id, [kept.shot for kept in shots.kept], _trace(one.scene, one.embedded_at)
            )
            self._tell([told])

    def _end(self, tracks: list[Track], captured_at: float, reason: CloseReason) -> None:
        if self.taker.pending(tracks):
            # The last word must hold the shot that is just being embedded; it comes within its deadline.
            self._keep(self.taker.finished(wait=True))
        told: list[Sighting] = []
        for track in tracks:
            self._shots.pop(track.track_id, None)
            told += self._book.close(track.track_id, places.moment(captured_at), reason)
        self._tell(told)

    def lost(self, reason: CloseReason) -> None:
        """Close everything: the source is lost, or the process ends."""
        self._keep(self.taker.finished(wait=True))
        self._tracker.clear()
        self._shots.clear()
        self._gate.forget()
        self._tell(self._book.close_all(dt.datetime.now(dt.UTC), reason))

    def idle(self, at: float) -> None:
        """Close what was not heard of for long, while no picture is analysed; `at` on the monotonic clock."""
        self.collect()
        self._end(self._tracker.stale(at), time.time(), CloseReason.LEFT)


def _trace(scene: Scene, embedded_at: float | None) -> Trace:
    return Trace(
        captured_at=places.moment(scene.captured_at),
        detected_at=places.moment(scene.detected_at),
        embedded_at=places.moment(embedded_at) if embedded_at is not None else None,
    )
