"""The way of one picture: gate, detect, track, look, embed, tell. Inference is the only I/O here.

Runs on one thread. What a step costs on one core, at 640x360 with one face: see `docs/performance.md`.
"""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.events import BestShot, Box, CloseReason, Embedding, FaceQuality, Sighting, Trace
from vigil_contracts.resources.camera import CameraSpec, RecognitionMode
from vigil_stream.capture.convert import Converter
from vigil_stream.capture.slot import Picture
from vigil_stream.pipeline import regions
from vigil_stream.pipeline.fitness import Fitness
from vigil_stream.pipeline.motion import MotionGate, Verdict
from vigil_stream.pipeline.shots import Kept, Shots
from vigil_stream.pipeline.sightings import SightingBook
from vigil_stream.pipeline.tracker import Track, Tracker
from vigil_vision import alignment, detection, letterbox, quality
from vigil_vision.detection import Detections
from vigil_vision.letterbox import Letterbox
from vigil_vision.triton import Answer, DetectionCard, InferenceError, RecognitionCard

DETECT_DEADLINE_S = 2.0
EMBED_DEADLINE_S = 2.0


class Inference(Protocol):
    """What of `vigil_vision.triton.InferenceClient` is used here."""

    def detect_answer(self, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> Answer[DetectionCard]:
        """Find faces."""

    def embed_answer(self, faces: NDArray[np.uint8], *, deadline_s: float | None = None) -> Answer[RecognitionCard]:
        """Embed aligned faces."""

    def detection_card(self) -> DetectionCard:
        """Tell about the detector."""

    def frame_buffer(self, height: int, width: int) -> NDArray[np.uint8]:
        """Give a picture to write into."""


@dataclass(slots=True, eq=False)
class _Look:
    """A face of the current picture that is looked at closely."""

    track: Track
    index: int
    shots: Shots
    promise: float


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
        detector_side: int = 640,
    ) -> None:
        self._spec = spec
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
        self._identify = spec.recognition.mode is RecognitionMode.IDENTIFY
        self._tracker = Tracker()
        self._shots: dict[int, Shots] = {}
        self._converter = Converter()
        self._letterbox: Letterbox | None = None
        self._buffer: NDArray[np.uint8] = np.empty((0, 0, 3), np.uint8)
        self.fitness = Fitness()
        self.endpoint: str | None = None
        self.analysed = self.still = self.duplicate = self.embeddings = self.embed_errors = 0
        self.embed_error = ""

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
        if picture.cut:
            self._end(self._tracker.clear(), picture.captured_at, CloseReason.CUT)
        started = time.perf_counter()
        self._mask.blacken(picture.luma.grey)
        looked = self._gate.look(
            picture.luma.grey, picture.luma.fingerprint, picture.at, faces_in_view=bool(self._tracker.tracks)
        )
        self._took("motion", time.perf_counter() - started)
        if looked.cut:
            self._end(self._tracker.clear(), picture.captured_at, CloseReason.CUT)
        if looked.verdict is not Verdict.ANALYSE:
            self._nothing_moved(picture, looked.verdict)
            return None
        try:
            faces = self._detect(picture)
        except Exception:
            self._gate.forget()
            raise
        detected_at = time.time()
        self.analysed += 1
        self._follow(picture, faces, detected_at)
        return detected_at - picture.captured_at

    def _nothing_moved(self, picture: Picture, verdict: Verdict) -> None:
        if verdict is Verdict.DUPLICATE:
            self.duplicate += 1
        else:
            self.still += 1
        self._tracker.still(picture.at)
        for track in self._tracker.tracks:
            if track.last_seen == picture.at:
                self._book.still(track.track_id, _moment(picture.captured_at))
        self._tell(self._book.keep_alive())

    def _detect(self, picture: Picture) -> Detections:
        started = time.perf_counter()
        frame = self._converter.in_memory(picture.frame)
        box = self._fit(frame.width, frame.height)
        self._converter.letterboxed(frame, box, self._buffer)
        self._mask.blacken(self._buffer[: box.scaled_height, : box.scaled_width])
        converted = time.perf_counter()
        self._took("convert", converted - started)
        answer = self._client.detect_answer(self._buffer, deadline_s=DETECT_DEADLINE_S)
        self._took("detect", time.perf_counter() - converted)
        self.endpoint = answer.endpoint
        return self._count(answer, box)

    def _count(self, answer: Answer[DetectionCard], box: Letterbox) -> Detections:
        """Leave out what does not count as a face here; faces that are only too small still tell about the camera."""
        wanted = self._spec.detection
        least = wanted.min_confidence_permille
        threshold = answer.card.score_threshold if least is None else least / 1000
        found = detection.decode(answer.values[0], box, score_threshold=threshold, iou_threshold=answer.card.nms_iou)
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
        card = self._client.detection_card()
        if card.width and card.height:
            box = letterbox.exact(width, height, card.width, card.height)
        else:
            box = letterbox.fit(width, height, self._side, self._side)
        if before is not None:
            self._tracker.rescale(width / before.source_width, height / before.source_height)
        self._buffer = self._client.frame_buffer(box.height, box.width)
        self._letterbox = box
        return box

    def _follow(self, picture: Picture, faces: Detections, detected_at: float) -> None:
        boxes = [(b[0], b[1], b[2], b[3]) for b in faces.boxes.tolist()]
        update = self._tracker.update(boxes, picture.at)
        self._end(update.lost, picture.captured_at, CloseReason.LEFT)
        trace = Trace(captured_at=_moment(picture.captured_at), detected_at=_moment(detected_at))
        looks = self._looks(faces, update.assigned, picture.at)
        better, trace = self._take_shots(picture, faces, looks, update.assigned, trace)
        told: list[Sighting] = []
        for index, track in enumerate(update.assigned):
            told += self._revise(track, faces, index, picture.captured_at, better=track.track_id in better, trace=trace)
        self._tell(told + self._book.keep_alive())

    def _revise(
        self, track: Track, faces: Detections, index: int, captured_at: float, *, better: bool, trace: Trace
    ) -> list[Sighting]:
        """Note a face in its sighting. One detection alone, not good enough to embed, does not make a sighting."""
        known = self._book.knows(track.track_id)
        if not known and not better and track.hits < 2:
            return []
        since = _moment(captured_at - (track.last_seen - track.first_seen))
        self._book.seen(
            track.track_id, _moment(captured_at), self._box(faces.boxes[index]), since=since, frames=track.hits
        )
        if known and not better:
            return []
        shots = [kept.shot for kept in self._shots[track.track_id].kept]
        return [self._book.tell(track.track_id, shots, trace)]

    def _looks(self, faces: Detections, assigned: list[Track], at: float) -> list[_Look]:
        found = []
        for index, track in enumerate(assigned):
            shots = self._shots.setdefault(track.track_id, Shots())
            pose = quality.pose_of(faces.landmarks[index])
            pixels = float(faces.face_pixels[index])
            self.fitness.face(pixels, pose.yaw)
            frontal = max(1 - abs(pose.yaw) / 90, 0.0) * max(1 - abs(pose.pitch) / 90, 0.0)
            promise = min(pixels / alignment.CROP, 1.0) * frontal * float(faces.scores[index])
            if shots.wants_look(promise, at, doubtful=track.doubtful):
                found.append(_Look(track, index, shots, promise))
        return found

    def _take_shots(
        self, picture: Picture, faces: Detections, looks: list[_Look], assigned: list[Track], trace: Trace
    ) -> tuple[set[int], Trace]:
        """Look at faces, embed those that are worth it in one request, and keep them.

        Returns
        -------
        Tracks that have a new shot, and the trace with the moment of the embedding.
        """
        if not looks:
            return set(), trace
        started = time.perf_counter()
        crops = self._crops(picture, faces.landmarks, [look.index for look in looks])
        which = np.array([look.index for look in looks])
        measured = quality.measure(faces.select(which), crops)
        self._took("look", time.perf_counter() - started)
        wanted: list[int] = []
        for position, (look, face) in enumerate(zip(looks, measured, strict=True)):
            look.shots.looked(look.promise, picture.at)
            self.fitness.look(face.sharpness)
            if look.shots.wants(face.score, picture.at, doubtful=look.track.doubtful):
                wanted.append(position)
        if not wanted:
            return set(), trace
        answer = None
        if self._identify:
            answer = self._embed(crops[wanted])
            if answer is None:
                return set(), trace
            trace = trace.model_copy(update={"embedded_at": _moment(time.time())})
        better = set()
        for row, position in enumerate(wanted):
            shot = self._shot(picture, faces, looks[position].index, measured[position])
            better.add(self._keep(looks[position], shot, answer, row, picture, assigned).track_id)
        return better, trace

    def _embed(self, crops: NDArray[np.uint8]) -> Answer[RecognitionCard] | None:
        """Embed all faces of a picture in one request; None when that fails: they are followed without, and tried again."""
        started = time.perf_counter()
        try:
            answer = self._client.embed_answer(np.ascontiguousarray(crops), deadline_s=EMBED_DEADLINE_S)
        except InferenceError as error:
            self.embed_errors += 1
            self.embed_error = str(error)
            return None
        self.embed_error = ""
        self._took("embed", time.perf_counter() - started)
        self.embeddings += len(crops)
        return answer

    def _keep(
        self,
        look: _Look,
        shot: BestShot,
        answer: Answer[RecognitionCard] | None,
        row: int,
        picture: Picture,
        assigned: list[Track],
    ) -> Track:
        """Keep a shot with its track, or with a new one when it shows another person than the shots before."""
        track, shots, vector = look.track, look.shots, None
        if answer is not None:
            vector = answer.values[row]
            embedding = Embedding.from_bytes(answer.card.model_id, vector.astype("<f4").tobytes())
            shot = shot.model_copy(update={"embedding": embedding})
            if not shots.belongs(vector, answer.card.match_threshold):
                self._end([track], picture.captured_at, CloseReason.CUT)
                track = self._tracker.split(track)
                assigned[look.index] = track
                shots = self._shots[track.track_id] = Shots()
        track.doubtful = False
        shots.keep(Kept(shot, vector), picture.at)
        return track

    def _crops(self, picture: Picture, landmarks: NDArray[np.float32], which: list[int]) -> NDArray[np.uint8]:
        """Cut and align faces at the source's resolution: from the detector's input when that was not scaled."""
        box = self._letterbox
        if box is None:
            return np.empty((0, alignment.CROP, alignment.CROP, 3), np.uint8)
        if (box.scaled_width, box.scaled_height) == (box.source_width, box.source_height):
            return alignment.align(self._buffer[: box.scaled_height, : box.scaled_width], landmarks[which])
        frame = self._converter.in_memory(picture.frame)
        crops = [self._crop(frame, landmarks[index], box) for index in which]
        return np.concatenate(crops)

    def _crop(self, frame: object, landmarks: NDArray[np.float32], box: Letterbox) -> NDArray[np.uint8]:
        left, top, width, height = _surroundings(landmarks, box.source_width, box.source_height)
        if width < 2 or height < 2:
            return np.zeros((1, alignment.CROP, alignment.CROP, 3), np.uint8)
        part = self._converter.region(frame, left, top, width, height)  # type: ignore[arg-type]
        part = self._mask.blackened_part(part, left, top, box.source_width, box.source_height)
        return alignment.align(part, (landmarks - np.array([left, top], np.float32))[None])

    def _shot(self, picture: Picture, faces: Detections, index: int, face: quality.FaceQuality) -> BestShot:
        size = np.array(self._source_size(), np.float32)
        return BestShot(
            captured_at=_moment(picture.captured_at),
            box=self._box(faces.boxes[index]),
            landmarks=[(float(x), float(y)) for x, y in faces.landmarks[index] / size],
            confidence=min(float(faces.scores[index]), 1.0),
            quality=FaceQuality(
                score=face.score,
                face_pixels=face.face_pixels,
                sharpness=face.sharpness,
                brightness=face.brightness,
                yaw_degrees=face.pose.yaw,
                pitch_degrees=face.pose.pitch,
                roll_degrees=face.pose.roll,
            ),
        )

    def _box(self, box: NDArray[np.float32]) -> Box:
        width, height = self._source_size()
        x1, y1, x2, y2 = (float(value) for value in box)
        return Box(x=x1 / width, y=y1 / height, width=(x2 - x1) / width, height=(y2 - y1) / height)

    def _source_size(self) -> tuple[int, int]:
        box = self._letterbox
        return (box.source_width, box.source_height) if box is not None else (1, 1)

    def _end(self, tracks: list[Track], captured_at: float, reason: CloseReason) -> None:
        told: list[Sighting] = []
        for track in tracks:
            self._shots.pop(track.track_id, None)
            told += self._book.close(track.track_id, _moment(captured_at), reason)
        self._tell(told)

    def lost(self, reason: CloseReason) -> None:
        """Close everything: the source is lost, or the process ends."""
        self._tracker.clear()
        self._shots.clear()
        self._gate.forget()
        self._tell(self._book.close_all(dt.datetime.now(dt.UTC), reason))

    def idle(self, at: float) -> None:
        """Close what was not heard of for long, while no picture is analysed; `at` on the monotonic clock."""
        self._end(self._tracker.stale(at), time.time(), CloseReason.LEFT)


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _surroundings(landmarks: NDArray[np.float32], width: int, height: int) -> tuple[int, int, int, int]:
    """Give the part of a picture (left, top, width, height; left and top even) that the alignment of a face reads.

    The template's 112 pixels are 3.2 times its eye distance; turned by 45 degrees its corners lie 2.3 eye distances from
    its centre, which the landmarks' centre misses by at most half of one.
    """
    spread = float(np.linalg.norm(landmarks - landmarks.mean(axis=0), axis=1).max())
    x, y = landmarks.mean(axis=0).tolist()
    reach = 4 * spread + 4
    left, top = max(int(x - reach), 0) // 2 * 2, max(int(y - reach), 0) // 2 * 2
    right, bottom = min(int(x + reach) + 1, width), min(int(y + reach) + 1, height)
    return left, top, right - left, bottom - top
