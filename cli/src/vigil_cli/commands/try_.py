"""`vigil try`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vigil_cli.console import Line, err, out
from vigil_cli.errors import CommandError
from vigil_cli.inference import local_inference
from vigil_cli.standalone.models import prepare
from vigil_cli.view.preparation import show_preparation
from vigil_contracts.text import printable
from vigil_vision.faces.enrolment import PhotoFaces, enroll_photo, find_upright_faces, turned_by
from vigil_vision.faces.models import FaceModels
from vigil_vision.faces.orientation import cut_surroundings, read_orientations
from vigil_vision.photos import PhotoError, decode_photo

GREEN, GREY = (46, 160, 67), (130, 130, 130)


@dataclass(frozen=True, slots=True)
class Face:
    """One face of the second photo; box in pixels, similarity to the person of the first."""

    box: tuple[float, float, float, float]
    similarity: float
    known: bool


def run(known: Path, other: Path, drawing: Path, pack: str) -> None:
    """Compare two photos and draw the second with boxes and names.

    Raises
    ------
    CommandError
        A photo cannot be used, or the drawing cannot be written.
    """
    first, second = _read(known), _read(other)
    with show_preparation() as observer:
        models = prepare(pack, observer)
    name = printable(known.stem)
    with local_inference(models.folder) as client:
        threshold = client.embedder_info().match_threshold
        person = _enroll(client, first, known)
        photo = find_upright_faces(client, _decode(second, other))
        faces = compare(client, person, photo)
    try:
        draw(photo.image, faces, name).save(drawing)
    except (OSError, ValueError) as error:
        raise CommandError(f"{drawing} cannot be written ({error}); choose another file.") from None
    if photo.turns:
        err.print(f"{other} was turned by {turned_by(photo.turns)} to bring the faces upright.")
    out.print(Line(explain(name, other, faces, threshold), "bold green" if faces and faces[0].known else "yellow"))
    err.print(f"Drawn: {drawing}")


def explain(name: str, other: Path, faces: list[Face], threshold: float) -> str:
    """Return whether a person is in a photo, and why: the similarity, what is needed, and the runner-up.

    Parameters
    ----------
    faces
        Most similar first.
    """
    if not faces:
        return f"{name} is not in {other}: no upright face was found in it."
    needed = f"{threshold:.2f} is needed"
    others = f"; the runner-up of {len(faces)} faces has {faces[1].similarity:.2f}" if len(faces) > 1 else ""
    if faces[0].known:
        return f"{name} is in {other}: similarity {faces[0].similarity:.2f}, {needed}{others}."
    return f"{name} is not in {other}: the most similar face has {faces[0].similarity:.2f}, {needed}{others}."


def compare(models: FaceModels, person: NDArray[np.float32], photo: PhotoFaces) -> list[Face]:
    """Return the upright faces of a photo, compared with a person: most similar first, at most one of them known.

    Parameters
    ----------
    person
        [D] float32, unit length.
    """
    embedder = models.embedder_info()
    landmarks = photo.detections.landmarks
    orientations = read_orientations(models, cut_surroundings(photo.image, landmarks))
    upright = np.array([one.upright for one in orientations], np.bool_)
    sure = (photo.detections.scores >= photo.detector.enrol_score_threshold) & upright
    if not sure.any():
        return []
    similarities = models.embed(photo.crops[sure]).values @ person
    best = int(np.argmax(similarities))
    return sorted(
        (
            Face(_box(box), float(value), index == best and bool(value >= embedder.match_threshold))
            for index, (box, value) in enumerate(zip(photo.detections.boxes[sure], similarities, strict=True))
        ),
        key=lambda face: -face.similarity,
    )


def draw(image: NDArray[np.uint8], faces: list[Face], name: str) -> Image.Image:
    """Return a copy of a photo with boxes, the name and similarities."""
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    line = max(2, round(max(canvas.size) / 300))
    font = ImageFont.load_default(max(14, round(max(canvas.size) / 45)))
    for face in faces:
        colour = GREEN if face.known else GREY
        label = f"{name} {face.similarity:.2f}" if face.known else f"unknown {face.similarity:.2f}"
        pen.rectangle(face.box, outline=colour, width=line)
        left, top, right, bottom = pen.textbbox((0, 0), label, font=font)
        x = min(max(0.0, face.box[0]), max(0.0, canvas.width - (right - left) - 2 * line))
        y = face.box[1] - (bottom - top) - 3 * line
        y = y if y > 0 else face.box[3]
        pen.rectangle((x, y, x + right - left + 2 * line, y + bottom - top + 3 * line), fill=colour)
        pen.text((x + line - left, y + line - top), label, fill="white", font=font)
    return canvas


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(
            f"The photo {path} cannot be read ({error.strerror}); check the path and its permissions."
        ) from None


def _decode(data: bytes, path: Path) -> NDArray[np.uint8]:
    try:
        return decode_photo(data)
    except PhotoError as error:
        raise CommandError(f"{path}: {error}") from None


def _enroll(models: FaceModels, data: bytes, path: Path) -> NDArray[np.float32]:
    enrolment = enroll_photo(models, data)
    if enrolment.embedding is None:
        fault = enrolment.assessment.message
        raise CommandError(f"{path} cannot be used as the known person: {fault} ({enrolment.assessment.reason}).")
    return enrolment.embedding


def _box(values: NDArray[np.float32]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(value) for value in values)
    return left, top, right, bottom
