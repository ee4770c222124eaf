"""From faces in a frame to shots worth keeping: cut, align, measure, embed.

Embedding runs beside the analysis: a CPU takes longer for one face than for finding all faces of a frame, and frames
keep coming. One request is under way at a time; a shot that cannot be taken now waits for a later frame.
"""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.events import BestShot, Embedding, FaceQuality
from vigil_stream.analyses.faces import fitness
from vigil_stream.analyses.faces.fitness import Fitness
from vigil_stream.analyses.faces.same_person import Limits
from vigil_stream.analyses.faces.shots import VERIFY_S, PersonShots, Shot
from vigil_stream.analyses.faces.stretches import Stretch
from vigil_stream.analyses.faces.uprightness import Surroundings, Uprightness
from vigil_stream.observer import StreamObserver
from vigil_stream.pipeline import geometry
from vigil_stream.scene import Scene
from vigil_vision.faces import alignment, quality
from vigil_vision.faces.models import EmbedderResult, FaceModels
from vigil_vision.triton import InferenceError

EMBED_DEADLINE_S: Final = 2.0

VERIFY_SHARE: Final = 0.007
"""Share of a core's time that verifying one person who stays may take: a fast embedder verifies more often."""

MIN_VERIFY_S: Final = 1.0
"""Least seconds between two shots that verify one person."""

EMBED_BUDGET_S: Final = 0.055
"""Longest time for embedding the faces of one frame, by the recent time of a face: the faces of a group that enters at
once are embedded over several frames, so that no identity waits for all others. On a GPU this is never the limit."""


@dataclass(frozen=True, slots=True, eq=False)
class TakenShot:
    """A shot that was taken.

    Attributes
    ----------
    stretch
        The stretch of the face; it may have ended meanwhile.
    scene
        The frame that it was taken from.
    limits
        The thresholds of the model that embedded it; None without an embedding.
    embedded_at
        Seconds since the epoch; None without an embedding.
    """

    stretch: Stretch
    shot: Shot
    scene: Scene
    limits: Limits | None
    embedded_at: float | None


@dataclass(slots=True, eq=False)
class _Candidate:
    """A face that is cut and measured; `index` is its place in the detections."""

    index: int
    stretch: Stretch
    expected_quality: float
    covered: bool

    @property
    def shots(self) -> PersonShots:
        """The shots of the face so far."""
        return self.stretch.shots


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """A request to the embedder that is under way."""

    future: "Future[tuple[EmbedderResult, float]]"
    scene: Scene
    candidates: list[_Candidate]
    shots: list[BestShot]


class ShotTaker:
    """Takes shots of the faces of one camera; not for several threads.

    Parameters
    ----------
    models
        Embed faces.
    measured
        Collects what was measured.
    identify
        Whether shots are embedded.
    """

    def __init__(self, models: FaceModels, measured: Fitness, observer: StreamObserver, *, identify: bool) -> None:
        self._models = models
        self.uprightness = Uprightness(models)
        self._fitness = measured
        self._observer = observer
        self._identify = identify
        self._worker = ThreadPoolExecutor(1, "embed")
        self._request: _Request | None = None
        self._seconds_per_face = EMBED_BUDGET_S / 2
        self.embeddings = self.errors = 0
        self.error = ""
        """The error of the last embedding; empty when it succeeded."""

    def take(self, scene: Scene, stretches: Sequence[Stretch]) -> list[TakenShot]:
        """Check the quality of faces that may be worth it; begin to embed the good ones, in one request.

        Parameters
        ----------
        stretches
            For each face of the scene.

        Returns
        -------
        Shots without embeddings, which are complete at once; the others come by `finished`.
        """
        candidates = self._candidates(scene, stretches)
        if self._request is not None:
            for one in candidates:
                one.shots.postpone()
            return []
        if not candidates:
            return []
        started = time.perf_counter()
        crops = _crops(scene, [one.index for one in candidates])
        measured = quality.measure(scene.detections.select(np.array([one.index for one in candidates])), crops)
        self._observer.observe_duration("quality", time.perf_counter() - started)
        wanted = self._choose(candidates, measured, scene.at)
        chosen = [candidates[position] for position in wanted]
        best_shots = [_best_shot(scene, candidates[position].index, measured[position]) for position in wanted]
        face = self.uprightness.cut(scene) if self._identify else None
        if self._identify and wanted and self.uprightness.misleads:
            # Nobody is named by such faces; one is checked now and then, until they are upright.
            if face is not None:
                self._worker.submit(self._check, face)
            return []
        if self._identify and wanted:
            for one in chosen:
                one.shots.pending = True
            future = self._worker.submit(self._embed, np.ascontiguousarray(crops[wanted]), face)
            self._request = _Request(future, scene, chosen, best_shots)
            future.add_done_callback(lambda _: self._observer.results_ready())
            return []
        return [
            TakenShot(one.stretch, Shot(best_shot, None), scene, limits=None, embedded_at=None)
            for one, best_shot in zip(chosen, best_shots, strict=True)
        ]

    def finished(self, *, wait: bool = False) -> list[TakenShot]:
        """Return the shots of a request that was answered; none when there is none, or when it failed.

        Parameters
        ----------
        wait
            For the answer to the request under way; at most its deadline.
        """
        request = self._request
        if request is None or not (wait or request.future.done()):
            return []
        self._request = None
        for one in request.candidates:
            one.shots.pending = False
        try:
            result, embedded_at = request.future.result(2 * EMBED_DEADLINE_S)
        except (InferenceError, TimeoutError) as error:
            # The faces are followed without an embedding, and embedded from a later frame.
            self.errors += 1
            self.error = str(error)
            return []
        self.error = ""
        self.embeddings += len(request.candidates)
        if self.uprightness.misleads:
            return []
        return [
            _taken(request.scene, one, best_shot, result, row, embedded_at)
            for row, (one, best_shot) in enumerate(zip(request.candidates, request.shots, strict=True))
        ]

    def _candidates(self, scene: Scene, stretches: Sequence[Stretch]) -> list[_Candidate]:
        found = []
        faces, box = scene.detections, scene.letterbox
        for index, stretch in enumerate(stretches):
            pose = quality.pose_of(faces.landmarks[index])
            pixels = float(faces.face_pixels[index])
            self._fitness.add_face(pixels, pose.yaw)
            scale = box.scaled_width / box.source_width
            self._fitness.add_breadth(fitness.breadth(faces.landmarks[index], pose, scale))
            frontal = max(1 - abs(pose.yaw) / 90, 0.0) * max(1 - abs(pose.pitch) / 90, 0.0)
            expected = min(pixels / alignment.CROP, 1.0) * frontal * float(faces.scores[index])
            if stretch.waits_uncovered(scene.at):
                if stretch.person is None:
                    stretch.shots.postpone()
            elif stretch.rests(scene.at):
                continue
            elif stretch.shots.wants_check(expected, scene.at, urgent=stretch.contested):
                found.append(_Candidate(index, stretch, expected, stretch.covered))
        return found

    def _choose(self, candidates: list[_Candidate], measured: list[quality.FaceQuality], at: float) -> list[int]:
        """Return the positions of the candidates to keep; those beyond the budget wait for the next frame."""
        wanted = []
        verify_s = min(max(self._seconds_per_face / VERIFY_SHARE, MIN_VERIFY_S), VERIFY_S)
        for position, (one, face) in enumerate(zip(candidates, measured, strict=True)):
            one.shots.checked(one.expected_quality, at)
            self._fitness.add_sharpness(face.sharpness)
            if one.shots.wants_shot(face.score, at, urgent=one.stretch.contested, verify_s=verify_s):
                wanted.append(position)
        if not self._identify:
            return wanted
        # Faces that nobody is known to be come first, then the best.
        wanted.sort(key=lambda position: (candidates[position].stretch.person is not None, -measured[position].score))
        room = max(int(EMBED_BUDGET_S / self._seconds_per_face), 1)
        for position in wanted[room:]:
            candidates[position].shots.postpone()
        return wanted[:room]

    def _check(self, face: Surroundings) -> None:
        """Run on the worker; a check that fails is made again later."""
        with suppress(InferenceError):
            self.uprightness.check(face)

    def _embed(self, crops: NDArray[np.uint8], face: Surroundings | None) -> tuple[EmbedderResult, float]:
        """Run on the worker."""
        if face is not None:
            self._check(face)
        started = time.perf_counter()
        result = self._models.embed(crops, deadline_s=EMBED_DEADLINE_S)
        seconds = time.perf_counter() - started
        self._seconds_per_face += 0.2 * (seconds / len(crops) - self._seconds_per_face)
        self._observer.observe_duration("embed", seconds)
        return result, time.time()


def _taken(
    scene: Scene, candidate: _Candidate, best_shot: BestShot, result: EmbedderResult, row: int, embedded_at: float
) -> TakenShot:
    vector = result.values[row]
    embedding = Embedding.from_bytes(result.info.model_id, vector.astype("<f4").tobytes())
    shot = Shot(best_shot.model_copy(update={"embedding": embedding}), vector, candidate.covered)
    limits = Limits(result.info.same_person, result.info.other_person)
    return TakenShot(candidate.stretch, shot, scene, limits, embedded_at)


def _crops(scene: Scene, which: list[int]) -> NDArray[np.uint8]:
    """Return the faces [n,112,112,3], cut and aligned at the resolution of the source."""
    landmarks = scene.detections.landmarks[which]
    whole = scene.whole()
    if whole is not None:
        return alignment.align(whole, landmarks)
    return np.concatenate([_crop(scene, points) for points in landmarks])


def _crop(scene: Scene, landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    left, top, columns, rows = geometry.surroundings(landmarks, scene.width, scene.height)
    if columns < 2 or rows < 2:
        return np.zeros((1, alignment.CROP, alignment.CROP, 3), np.uint8)
    part = scene.region(left, top, columns, rows)
    return alignment.align(part, (landmarks - np.array([left, top], np.float32))[None])


def _best_shot(scene: Scene, index: int, face: quality.FaceQuality) -> BestShot:
    faces = scene.detections
    return BestShot(
        captured_at=geometry.moment(scene.captured_at),
        box=geometry.share_box(faces.boxes[index].tolist(), scene.width, scene.height),
        landmarks=[(x / scene.width, y / scene.height) for x, y in faces.landmarks[index].tolist()],
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
