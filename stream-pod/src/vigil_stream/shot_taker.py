"""From faces in a picture to shots worth keeping: cut, align, measure, embed.

Embedding runs beside the analysis: a CPU takes longer for one face than for finding all faces of a picture, and
pictures keep coming. One request is under way at a time; what cannot be taken now waits for a later picture.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from vigil_contracts.events import BestShot, Embedding, FaceQuality
from vigil_stream.capture.convert import Converter
from vigil_stream.inference import Inference
from vigil_stream.pipeline import places
from vigil_stream.pipeline.fitness import Fitness
from vigil_stream.pipeline.regions import PrivacyMask
from vigil_stream.pipeline.shots import Kept, Shots
from vigil_stream.pipeline.tracker import Track
from vigil_vision.detection import Detections
from vigil_vision.faces import alignment, quality
from vigil_vision.faces.models import EmbedderResult
from vigil_vision.letterbox import Letterbox
from vigil_vision.triton import InferenceError

EMBED_DEADLINE_S = 2.0

EMBED_BUDGET_S = 0.055
"""What embedding the faces of one picture may take, by what a face took lately: a group that enters at once is embedded
over the next pictures, so that nobody's identity waits for all the others'. On a GPU this is never the limit."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """An analysed picture.

    Attributes
    ----------
    frame
        In memory, at the source's size.
    letterbox, pixels
        How it lies in the detector's input, and that input [H,W,3] uint8 RGB, with what must be black in it.
    faces
        In source pixels.
    captured_at, detected_at
        Seconds since the epoch.
    at
        When it was captured, on the monotonic clock.
    """

    frame: av.VideoFrame
    letterbox: Letterbox
    pixels: NDArray[np.uint8]
    faces: Detections
    captured_at: float
    detected_at: float
    at: float


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A shot that was taken.

    Attributes
    ----------
    track
        Whose face it is.
    kept
        The shot.
    same_person
        False when the embedding contradicts the shots before.
    scene
        The picture that it was taken of.
    embedded_at
        Seconds since the epoch; None without an embedding.
    """

    track: Track
    kept: Kept
    same_person: bool
    scene: Scene
    embedded_at: float | None


@dataclass(slots=True, eq=False)
class _Look:
    index: int
    track: Track
    shots: Shots
    promise: float


@dataclass(frozen=True, slots=True, eq=False)
class _UnderWay:
    future: "Future[tuple[EmbedderResult, float]]"
    scene: Scene
    looks: list[_Look]
    shots: list[BestShot]


class ShotTaker:
    """Takes shots of the faces of one camera; not for several threads.

    Parameters
    ----------
    client
        Embeds faces.
    converter
        Cuts faces out of frames.
    mask
        What must be black.
    identify
        Whether shots are embedded.
    fitness
        Is told what was measured.
    took
        Takes the name of a stage and its seconds.
    ready
        Called from another thread when `finished` has something to give.
    """

    def __init__(
        self,
        client: Inference,
        converter: Converter,
        mask: PrivacyMask,
        *,
        identify: bool,
        fitness: Fitness,
        took: Callable[[str, float], None],
        ready: Callable[[], None],
    ) -> None:
        self._client = client
        self._converter = converter
        self._mask = mask
        self._identify = identify
        self._fitness = fitness
        self._took = took
        self._ready = ready
        self._worker = ThreadPoolExecutor(1, "embed")
        self._under_way: _UnderWay | None = None
        self._seconds_per_face = EMBED_BUDGET_S / 2
        self.embeddings = self.errors = 0
        self.trouble = ""
        """What was wrong with the last embedding; empty when nothing was."""

    def take(self, scene: Scene, tracks: Sequence[Track], shots: Sequence[Shots]) -> list[Taken]:
        """Look at the faces that promise something; begin to embed those that keep it, in one request.

        Parameters
        ----------
        tracks, shots
            For each face of the scene.

        Returns
        -------
        What is complete at once, without embeddings; the rest comes by `finished`.
        """
        looks = self._looks(scene, tracks, shots)
        if self._under_way is not None:
            for look in looks:
                look.shots.postpone()
            return []
        if not looks:
            return []
        started = time.perf_counter()
        crops = self._crops(scene, [look.index for look in looks])
        measured = quality.measure(scene.faces.select(np.array([look.index for look in looks])), crops)
        self._took("quality", time.perf_counter() - started)
        wanted = self._choose(looks, measured, scene.at)
        chosen = [looks[position] for position in wanted]
        taken = [_shot(scene, looks[position].index, measured[position]) for position in wanted]
        if self._identify and wanted:
            for look in chosen:
                look.shots.pending = True
            future = self._worker.submit(self._embed, np.ascontiguousarray(crops[wanted]))
            self._under_way = _UnderWay(future, scene, chosen, taken)
            future.add_done_callback(lambda _: self._ready())
            return []
        return [
            Taken(look.track, Kept(shot, None), same_person=True, scene=scene, embedded_at=None)
            for look, shot in zip(chosen, taken, strict=True)
        ]

    def finished(self, *, wait: bool = False) -> list[Taken]:
        """Give the shots of a request that is answered; nothing when none is, or when it failed.

        Parameters
        ----------
        wait
            For the answer to the request under way; at most its deadline.
        """
        under_way = self._under_way
        if under_way is None or not (wait or under_way.future.done()):
            return []
        self._under_way = None
        for look in under_way.looks:
            look.shots.pending = False
        try:
            answer, embedded_at = under_way.future.result(2 * EMBED_DEADLINE_S)
        except (InferenceError, TimeoutError) as error:
            # The faces are followed without, and tried again.
            self.errors += 1
            self.trouble = str(error)
            return []
        self.trouble = ""
        self.embeddings += len(under_way.looks)
        return [
            self._taken(under_way.scene, look, shot, answer, row, embedded_at)
            for row, (look, shot) in enumerate(zip(under_way.looks, under_way.shots, strict=True))
        ]

    def forget(self) -> None:
        """Forget what was wrong: the source is lost, and whether it still is, only the next picture can tell."""
        self.trouble = ""

    def pending(self, tracks: Sequence[Track]) -> bool:
        """Tell whether a shot of one of these tracks is under way."""
        return self._under_way is not None and any(look.track in tracks for look in self._under_way.looks)

    def _looks(self, scene: Scene, tracks: Sequence[Track], shots: Sequence[Shots]) -> list[_Look]:
        found = []
        faces = scene.faces
        for index, (track, own) in enumerate(zip(tracks, shots, strict=True)):
            pose = quality.pose_of(faces.landmarks[index])
            pixels = float(faces.face_pixels[index])
            self._fitness.face(pixels, pose.yaw)
            frontal = max(1 - abs(pose.yaw) / 90, 0.0) * max(1 - abs(pose.pitch) / 90, 0.0)
            promise = min(pixels / alignment.CROP, 1.0) * frontal * float(faces.scores[index])
            if own.wants_look(promise, scene.at, doubtful=track.doubtful):
                found.append(_Look(index, track, own, promise))
        return found

    def _choose(self, looks: list[_Look], measured: list[quality.FaceQuality], at: float) -> list[int]:
        """Give the positions of the looks to keep; what the budget does not allow waits for the next picture."""
        wanted = []
        for position, (look, face) in enumerate(zip(looks, measured, strict=True)):
            look.shots.looked(look.promise, at)
            self._fitness.look(face.sharpness)
            if look.shots.wants(face.score, at, doubtful=look.track.doubtful):
                wanted.append(position)
        if not self._identify:
            return wanted
        # Who has no shot yet comes first, then the best.
        wanted.sort(key=lambda position: (bool(looks[position].shots.kept), -measured[position].score))
        room = max(int(EMBED_BUDGET_S / self._seconds_per_face), 1)
        for position in wanted[room:]:
            looks[position].shots.postpone()
        return wanted[:room]

    def _embed(self, crops: NDArray[np.uint8]) -> tuple[EmbedderResult, float]:
        """Run on the worker."""
        started = time.perf_counter()
        answer = self._client.embed(crops, deadline_s=EMBED_DEADLINE_S)
        seconds = time.perf_counter() - started
        self._seconds_per_face += 0.2 * (seconds / len(crops) - self._seconds_per_face)
        self._took("embed", seconds)
        return answer, time.time()

    @staticmethod
    def _taken(
        scene: Scene, look: _Look, shot: BestShot, answer: EmbedderResult, row: int, embedded_at: float
    ) -> Taken:
        vector = answer.values[row]
        embedding = Embedding.from_bytes(answer.info.model_id, vector.astype("<f4").tobytes())
        kept = Kept(shot.model_copy(update={"embedding": embedding}), vector)
        same = look.shots.belongs(kept, answer.info.match_threshold)
        return Taken(look.track, kept, same, scene, embedded_at)

    def _crops(self, scene: Scene, which: list[int]) -> NDArray[np.uint8]:
        """Cut and align faces at the source's resolution: from the detector's input when that was not scaled."""
        box, landmarks = scene.letterbox, scene.faces.landmarks[which]
        if (box.scaled_width, box.scaled_height) == (box.source_width, box.source_height):
            return alignment.align(scene.pixels[: box.scaled_height, : box.scaled_width], landmarks)
        return np.concatenate([self._crop(scene, points) for points in landmarks])

    def _crop(self, scene: Scene, landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
        width, height = scene.frame.width, scene.frame.height
        left, top, columns, rows = places.surroundings(landmarks, width, height)
        if columns < 2 or rows < 2:
            return np.zeros((1, alignment.CROP, alignment.CROP, 3), np.uint8)
        part = self._converter.region(scene.frame, left, top, columns, rows)
        part = self._mask.blackened_part(part, left, top, width, height)
        return alignment.align(part, (landmarks - np.array([left, top], np.float32))[None])


def _shot(scene: Scene, index: int, face: quality.FaceQuality) -> BestShot:
    width, height = scene.frame.width, scene.frame.height
    return BestShot(
        captured_at=places.moment(scene.captured_at),
        box=places.share_box(scene.faces.boxes[index].tolist(), width, height),
        landmarks=[(x / width, y / height) for x, y in scene.faces.landmarks[index].tolist()],
        confidence=min(float(scene.faces.scores[index]), 1.0),
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
