"""The people of the gate: portraits cut out of photos, and the gallery of those who are enrolled."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.gate.models import LocalModels
from vigil_vision import detection, letterbox
from vigil_vision.detection import Detections
from vigil_vision.faces import alignment

FACE = 96.0
"""Width of the face in a portrait, in pixels."""

LONGEST = 1280
"""Photos are scaled down to this longest side."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A face with its surroundings, and the shape that is painted.

    Attributes
    ----------
    pixels
        [h,w,3] uint8 RGB; the face is `FACE` pixels wide.
    alpha
        [h,w] float32, 0 to 1.
    centre
        Of the face, in pixels of the portrait.
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.float32]
    centre: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """A person with portraits and the embeddings of the photos; photo i belongs to portrait i."""

    name: str
    portraits: list[Portrait]
    embeddings: list[NDArray[np.float32]]


def read(path: Path) -> NDArray[np.uint8]:
    """Return a photo [h,w,3] uint8 RGB of at most `LONGEST` pixels."""
    image = cv2.imread(str(path))
    if image is None:
        msg = f"{path} is no photo that OpenCV reads"
        raise ValueError(msg)
    scale = min(LONGEST / max(image.shape[:2]), 1.0)
    scaled = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB), np.uint8)


def faces_of(models: LocalModels, photo: NDArray[np.uint8], side: int = 640) -> Detections:
    """Return the faces of a photo in its pixels, most confident first."""
    height, width = photo.shape[:2]
    box = letterbox.fit(width, height, side, side)
    image = np.zeros((box.height, box.width, 3), np.uint8)
    image[: box.scaled_height, : box.scaled_width] = cv2.resize(
        photo, (box.scaled_width, box.scaled_height), interpolation=cv2.INTER_AREA
    )
    info = models.detector_info()
    rows = models.detect(image).values[0]
    return detection.decode(rows, box, score_threshold=info.score_threshold, iou_threshold=info.nms_iou)


def portrait(photo: NDArray[np.uint8], box: NDArray[np.float32]) -> Portrait:
    """Cut the head with some of its surroundings, in an ellipse with a soft edge."""
    x1, y1, x2, y2 = box.tolist()
    scale = FACE / (x2 - x1)
    scaled = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cx, cy = (x1 + x2) / 2 * scale, (y1 + y2) / 2 * scale
    left, right = max(int(cx - 0.95 * FACE), 0), min(int(cx + 0.95 * FACE), scaled.shape[1])
    top, bottom = max(int(cy - 1.15 * FACE), 0), min(int(cy + 1.25 * FACE), scaled.shape[0])
    pixels = np.ascontiguousarray(scaled[top:bottom, left:right], np.uint8)
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    distance = np.sqrt(((x - cx) / (0.92 * FACE)) ** 2 + ((y - cy) / (1.2 * FACE)) ** 2)
    alpha = np.clip((1 - distance) * 8, 0, 1).astype(np.float32)
    return Portrait(pixels, alpha, (cx - left, cy - top))


def load(models: LocalModels, folder: Path) -> list[Person]:
    """Return the people of a folder that holds one folder of photos for each; photos of several faces are left out."""
    people = []
    for home in sorted(path for path in folder.iterdir() if path.is_dir() and path.name != "groups"):
        portraits, embeddings = [], []
        for path in sorted(home.glob("*.*")):
            photo = read(path)
            found = faces_of(models, photo)
            if len(found):
                first = int(np.argmax(found.face_pixels))
                portraits.append(portrait(photo, found.boxes[first]))
                crop = alignment.align(photo, found.landmarks[first : first + 1])
                embeddings.append(models.embed(crop).values[0])
        people.append(Person(home.name, portraits, embeddings))
    return people


def gallery(people: Sequence[Person], shown: Sequence[tuple[str, int]]) -> dict[str, NDArray[np.float32]]:
    """Return the templates [n,D] of people by name, without the photos that are `shown` where there are others."""
    found = {}
    for person in people:
        kept = [one for index, one in enumerate(person.embeddings) if (person.name, index) not in shown]
        found[person.name] = np.stack(kept or person.embeddings)
    return found
