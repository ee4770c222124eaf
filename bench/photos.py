"""Enrolment of photos that lie, are cut, or hide a part of the face: accepted, turned, refused, and how similar.

`python -m bench.photos [FOLDER]` prints the table of `bench/findings/photos.md` for the portraits in a folder of
people, by default those beside the project. A row counts photos; the cosine is that of an accepted photo to the
upright, whole one.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.context import SHARED
from vigil_cli.inference import LocalInference
from vigil_cli.preparation import PreparationObserver
from vigil_cli.standalone.models import prepare
from vigil_vision.faces.enrolment import enroll_photo, find_faces
from vigil_vision.faces.models import FaceModels
from vigil_vision.photos import decode_photo

Pixels = NDArray[np.uint8]


def variants(image: Pixels, landmarks: NDArray[np.float32]) -> Iterator[tuple[str, Pixels]]:
    """Yield the variants of an upright photo with their names."""
    for turns in range(4):
        yield f"turned by {90 * turns} degrees", np.ascontiguousarray(np.rot90(image, turns))
    nose = int(landmarks[2][0])
    yield "half cut off by the edge", np.ascontiguousarray(image[:, nose:])
    yield "half cut off by the edge", np.ascontiguousarray(image[:, :nose])
    skin = tuple(int(value) for value in image[int(landmarks[2][1]), nose])
    for name, colour in (("black", (0, 0, 0)), ("of the skin's colour", skin)):
        for side in ((-1.6, 0.0), (0.0, 1.6)):
            yield f"half hidden, {name}", _covered(image, landmarks, (*side, -2, 3), colour)
        yield f"eyes covered, {name}", _covered(image, landmarks, (-0.95, 0.95, -0.28, 0.28), colour)
        yield f"mouth covered, {name}", _covered(image, landmarks, (-0.9, 0.9, 0.65, 1.7), colour)
    yield "sunglasses", _covered(image, landmarks, (-0.92, 0.92, -0.25, 0.38), (30, 30, 32), round_parts=True)


def _covered(
    image: Pixels,
    landmarks: NDArray[np.float32],
    part: tuple[float, float, float, float],
    colour: tuple[int, ...],
    *,
    round_parts: bool = False,
) -> Pixels:
    """Return a photo with a part covered: left, right, top, bottom in distances of the eyes from their middle."""
    along = (landmarks[1] - landmarks[0]).astype(float)
    down, middle = np.array([-along[1], along[0]]), (landmarks[0] + landmarks[1]) / 2
    left, right, top, bottom = part
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    spans = [(left, -0.08), (0.08, right)] if round_parts else [(left, right)]
    for first, last in spans:
        angles = np.linspace(0, 2 * np.pi, 32) if round_parts else np.pi / 4 * np.array([5, 7, 1, 3])
        reach = 0.5 if round_parts else 0.5 / np.cos(np.pi / 4)
        xs = (first + last) / 2 + (last - first) * reach * np.cos(angles)
        ys = (top + bottom) / 2 + (bottom - top) * reach * np.sin(angles)
        pen.polygon([tuple((middle + along * x + down * y).tolist()) for x, y in zip(xs, ys, strict=True)], fill=colour)
    return np.asarray(canvas)


def measure(models: FaceModels, photos: list[Path]) -> dict[str, list[tuple[str, float]]]:
    """Return the outcome of every variant: accepted, turned or the reason, and the cosine of what was accepted."""
    found: dict[str, list[tuple[str, float]]] = {}
    for path in photos:
        image = decode_photo(path.read_bytes())
        upright = enroll_photo(models, _png(image)).embedding
        faces = find_faces(models, image).detections
        if upright is None or not len(faces):
            found.setdefault("turned by 0 degrees", []).append(("refused", 0.0))
            continue
        for name, changed in variants(image, faces.landmarks[int(np.argmax(faces.face_pixels))]):
            made = enroll_photo(models, _png(changed))
            if made.embedding is None:
                found.setdefault(name, []).append(("refused", 0.0))
                continue
            outcome = "turned" if "was turned" in made.assessment.message else "accepted"
            found.setdefault(name, []).append((outcome, float(upright @ made.embedding)))
    return found


def _png(image: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def table(found: dict[str, list[tuple[str, float]]]) -> Iterator[str]:
    """Yield the rows of the table as Markdown."""
    yield "| photo | accepted | turned | refused | cosine of what was enrolled: least, median |"
    yield "| --- | --- | --- | --- | --- |"
    for name, outcomes in found.items():
        counts = [sum(one == outcome for one, _ in outcomes) for outcome in ("accepted", "turned", "refused")]
        cosines = [cosine for one, cosine in outcomes if one != "refused"]
        shown = f"{min(cosines):.2f}, {np.median(cosines):.2f}" if cosines else ""
        yield f"| {name} | {counts[0]} | {counts[1]} | {counts[2]} | {shown} |"


def main() -> None:
    """Measure both packs."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED / "faces"
    photos = sorted(path for path in folder.glob("*/*.*") if path.parent.name != "groups")
    observer = PreparationObserver(step=print, progress=lambda *_: None, accept=lambda _: True)
    for pack in ("open", "scrfd-mobilefacenet-test"):
        models = LocalInference(prepare(pack, observer).folder)
        print(f"\n{pack}, {len(photos)} photos\n")
        print("\n".join(table(measure(models, photos))))


if __name__ == "__main__":
    main()
