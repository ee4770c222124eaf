"""Enrolment of photos that lie, are cut, hide a part of the face, or are copies: what is decided, and how similar.

    .venv/bin/python -m bench.photos [open | scrfd]

Prints the tables of `bench/findings/photos.md`, with either pack: one for the portraits beside the project, on which
limits were set, and one for other faces: the photos inside packages that the demo shows, and frames of the video beside
the project. A cosine is that of an accepted photo to the upright, whole one, and to the most similar other photo of the
person.
"""

import io
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from bench.context import CLIP, SHARED, Bench, Settings
from bench.packs import OPEN, SCRFD, PackChoice, repository
from bench.photo_variants import Pixels, variants
from vigil_cli.demo.photos import ensure_photos
from vigil_cli.inference import LocalInference
from vigil_cli.preparation import PreparationObserver
from vigil_contracts.registry import PhotoReason
from vigil_models import api
from vigil_vision.faces.enrolment import enroll_photo, find_faces
from vigil_vision.faces.models import FaceModels
from vigil_vision.photos import decode_photo

DISTANCE: Final = 90.0
"""Largest distance of the eyes in pixels; larger photos are scaled down, which changes no decision."""

FRAMES: Final = (100, 148, 204)
"""Frames of the video in which its singer is large."""

SINGER: Final = "lin-manuel-miranda"

PACKAGED: Final = {
    "person_a_1": "emmanuel-macron",
    "person_a_2": "emmanuel-macron",
    "person_b_1": "jacinda-ardern",
    "person_b_2": "jacinda-ardern",
    "impostor_1": "barack-obama",
    "impostor_2": "rishi-sunak",
}
"""Who the photos of a package show; the others are named after the person."""


@dataclass(frozen=True, slots=True, eq=False)
class Original:
    """A whole photo."""

    person: str
    name: str
    image: Pixels


@dataclass(frozen=True, slots=True)
class Outcome:
    """The decision about a photo; cosines are None when it was refused, or there is no other photo of the person."""

    decision: str
    to_itself: float | None = None
    to_others: float | None = None


def portraits() -> Iterator[Original]:
    """Yield the portraits beside the project."""
    for path in sorted((SHARED / "faces").glob("*/*.*")):
        if path.parent.name != "groups":
            yield Original(path.parent.name, f"{path.parent.name}/{path.name}", decode_photo(path.read_bytes()))


def others(models: FaceModels) -> Iterator[Original]:
    """Yield faces that are not among the portraits."""
    observer = PreparationObserver(step=print, progress=lambda *_: None, accept=lambda _: True)
    for name, path in ensure_photos(api.cache_dir(), observer).items():
        yield Original(PACKAGED.get(path.stem, path.stem), name, decode_photo(path.read_bytes()))
    with av.open(str(CLIP)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in FRAMES:
                image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                yield from _largest(models, SINGER, f"frame {number}", image)


def faces_of_groups(models: FaceModels) -> Iterator[Original]:
    """Yield the faces of the groups beside the project."""
    for path in sorted((SHARED / "faces" / "groups").iterdir()):
        image = decode_photo(path.read_bytes())
        faces = find_faces(models, image)
        for index in np.flatnonzero(faces.detections.scores >= faces.detector.enrol_score_threshold):
            yield Original("", f"{path.stem} {index}", _around(image, faces.detections.boxes[index]))


def _largest(models: FaceModels, person: str, name: str, image: Pixels) -> Iterator[Original]:
    faces = find_faces(models, image).detections
    if len(faces):
        yield Original(person, name, _around(image, faces.boxes[int(np.argmax(faces.face_pixels))]))


def _around(image: Pixels, box: NDArray[np.float32]) -> Pixels:
    left, top, right, bottom = (float(value) for value in box)
    margin = (right - left) / 2
    rows = slice(max(round(top - margin), 0), round(bottom + margin))
    return np.ascontiguousarray(image[rows, max(round(left - margin), 0) : round(right + margin)])


def embeddings(models: FaceModels, originals: list[Original]) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Return the embeddings of the whole photos that are accepted, by person and name."""
    found: dict[str, dict[str, NDArray[np.float32]]] = {}
    for one in originals:
        made = enroll_photo(models, _png(one.image))
        if made.embedding is not None:
            found.setdefault(one.person, {})[one.name] = made.embedding
    return found


def measure(
    models: FaceModels, originals: list[Original], known: dict[str, dict[str, NDArray[np.float32]]]
) -> dict[str, list[Outcome]]:
    """Return the outcome of every variant of the photos that are accepted whole.

    Parameters
    ----------
    known
        As `embeddings` returns it.
    """
    found: dict[str, list[Outcome]] = {}
    for original in originals:
        person = dict(known.get(original.person, {}))
        if (itself := person.pop(original.name, None)) is None:
            continue
        image, landmarks = _scaled(models, original.image)
        for name, changed in variants(image, landmarks):
            outcome = _outcome(models, changed, itself, list(person.values()))
            found.setdefault(name, []).append(outcome)
    return found


def _scaled(models: FaceModels, image: Pixels) -> tuple[Pixels, NDArray[np.float32]]:
    faces = find_faces(models, image).detections
    landmarks = faces.landmarks[int(np.argmax(faces.face_pixels * faces.scores))]
    factor = min(DISTANCE / float(np.hypot(*(landmarks[1] - landmarks[0]))), 1.0)
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)), landmarks * np.float32(factor)


def _outcome(
    models: FaceModels, image: Pixels, itself: NDArray[np.float32], rest: list[NDArray[np.float32]]
) -> Outcome:
    made = enroll_photo(models, _png(image))
    if made.embedding is None:
        return Outcome(str(made.assessment.reason))
    decision = "turned" if "was turned" in made.assessment.message else "accepted"
    to_others = max((float(made.embedding @ one) for one in rest), default=None)
    return Outcome(decision, float(made.embedding @ itself), to_others)


def _png(image: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def table(found: dict[str, list[Outcome]]) -> Iterator[str]:
    """Yield the rows of the table as Markdown."""
    yield "| photo | accepted | turned | refused | why refused | to itself: least, median | to the person's others |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, outcomes in found.items():
        counts = Counter(one.decision for one in outcomes)
        accepted, turned = counts.pop("accepted", 0), counts.pop("turned", 0)
        reasons = ", ".join(f"{reason} {count}" for reason, count in counts.most_common())
        itself = _least_and_median([one.to_itself for one in outcomes if one.to_itself is not None])
        person = _least_and_median([one.to_others for one in outcomes if one.to_others is not None])
        yield f"| {name} | {accepted} | {turned} | {counts.total()} | {reasons} | {itself} | {person} |"


def _least_and_median(values: list[float]) -> str:
    return f"{min(values):.2f}, {np.median(values):.2f}" if values else ""


def refused(models: FaceModels, originals: list[Original]) -> Iterator[str]:
    """Yield a line for each whole photo that is refused."""
    for original in originals:
        assessment = enroll_photo(models, _png(original.image)).assessment
        if assessment.reason is not PhotoReason.ACCEPTED:
            yield f"- {original.name}: {assessment.message}"


def report(choice: PackChoice) -> None:
    """Measure one pack and print its tables."""
    models = LocalInference(repository(Bench(Settings(), Console(stderr=True)), choice))
    first, second = list(portraits()), list(others(models))
    known = embeddings(models, first + second)
    everybody = first + list(faces_of_groups(models)) + second
    print(f"\n## {choice.shown}\n\nWhole photos refused, of {len(everybody)}:\n")
    print("\n".join(refused(models, everybody)))
    for title, originals in (("The portraits that limits were set on", first), ("Other faces", second)):
        print(f"\n### {title}: {len(originals)} photos\n")
        print("\n".join(table(measure(models, originals, known))), flush=True)


def main() -> None:
    """Measure both packs, or the one that is named."""
    chosen = [choice for choice in (OPEN, SCRFD) if not sys.argv[1:] or choice.key in sys.argv[1:]]
    for choice in chosen:
        report(choice)


if __name__ == "__main__":
    main()
