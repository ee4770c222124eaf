"""Comparing an exported graph with the original file: one by one against it, and a batch against one by one.

Rows of detections are compared as a set, because two anchors whose scores differ by less than rounding may be
swapped: every exported row must lie within the tolerance of a row of the original that no other row matched, and the
sorted scores must agree, so that the rows are indeed the best K.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from vigil_models.catalogue import CROP, Detector, Model
from vigil_models.errors import ModelsError, ProofFailed
from vigil_models.graph.preprocess import input_of
from vigil_models.graph.source import Source
from vigil_models.proof import inputs, reference
from vigil_models.proof.inputs import Image

TOLERANCE = {"score": 1e-4, "pixels": 0.02, "embedding": 1e-4}
"""Largest difference allowed: in scores 0..1, in pixels of the input, in components of an embedding of length 1.
float32 through a hundred layers, summed in another order, differed by half of these or less."""

SIZES = ((384, 640), (256, 320), (64, 32))
"""Heights and widths that detectors are proven at: a camera's, a small one, and one with fewer anchors than K."""


@dataclass(frozen=True)
class Difference:
    """The largest difference found in one comparison."""

    case: str
    """The input, such as `noise 640x384`."""
    against: Literal["original", "one by one"]
    pictures: int
    quantity: Literal["score", "pixels", "embedding"]
    largest: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether it is small enough; NaN is not."""
        return self.largest <= self.tolerance


def prove(model: Model, source: Source, exported: onnx.ModelProto, photos: Mapping[str, Image]) -> list[Difference]:
    """Return the differences between an exported graph and its original.

    Parameters
    ----------
    model
        The catalogue's entry.
    source
        The original file.
    exported
        The graph that is to be served.
    photos
        Name to [H,W,3] uint8 RGB; may be empty.

    Returns
    -------
    Every difference found, all within their tolerance.

    Raises
    ------
    ProofFailed
        When one is not; the text names the file and all failures.
    WrongLayout
        When the original's outputs do not fit its layout.
    """
    with _running(source, "the original cannot be opened"):
        original = reference.Original(model, source)
    with _running(source, "the exported graph cannot be opened"):
        served = reference.session(exported.SerializeToString())
    differences: list[Difference] = []
    for height, width in _sizes(model, original):
        images = _images(height, width, photos)
        with _running(source, f"the original or the exported graph does not run at {width}x{height}"):
            differences += _compare(model, original, source, served, images)
    failed = [difference for difference in differences if not difference.within]
    if failed:
        lines = "; ".join(
            f"{d.case} against {d.against}: {d.quantity} differs by {d.largest:.3g} (allowed {d.tolerance:g})"
            for d in failed
        )
        raise ProofFailed(
            f"{source.path}: the exported graph does not equal the original, nothing was written. {lines}"
        )
    return differences


@contextmanager
def _running(source: Source, failure: str) -> Iterator[None]:
    try:
        yield
    except ModelsError:
        raise
    except Exception as error:  # ONNX Runtime's errors have no other base in common
        raise ProofFailed(f"{source.path}: {failure}: {error}") from error


def _sizes(model: Model, original: reference.Original) -> list[tuple[int, int]]:
    if not isinstance(model, Detector):
        return [(CROP, CROP)]
    fixed = original.fixed_size
    return list(SIZES) if fixed is None else [fixed, *SIZES]


def _images(height: int, width: int, photos: Mapping[str, Image]) -> dict[str, Image]:
    size = f"{width}x{height}"
    made = {f"noise {size}": inputs.noise(height, width, 1), f"scene {size}": inputs.scene(height, width, 2)}
    return made | {f"{name} {size}": inputs.fit(photo, height, width) for name, photo in photos.items()}


def _compare(
    model: Model,
    original: reference.Original,
    source: Source,
    served: ort.InferenceSession,
    images: dict[str, Image],
) -> list[Difference]:
    alone = {name: _infer(model, served, [image])[0] for name, image in images.items()}
    found: list[Difference] = []
    for name, image in images.items():
        if isinstance(model, Detector):
            expected = reference.detect(model, original, source, image)
            found += _detection(name, "original", 1, [(alone[name], expected)])
        else:
            truth = reference.embed(model, original, source, image)
            found.append(_embedding(name, "original", 1, [(alone[name], truth)]))
    together = _infer(model, served, list(images.values()))
    pairs = [(row, one.astype(np.float64)) for row, one in zip(together, alone.values(), strict=True)]
    first = next(iter(images.values()))
    case = f"batch of {len(pairs)} {first.shape[1]}x{first.shape[0]}"
    if isinstance(model, Detector):
        return found + _detection(case, "one by one", len(pairs), pairs)
    return [*found, _embedding(case, "one by one", len(pairs), pairs)]


def _infer(model: Model, served: ort.InferenceSession, images: list[Image]) -> NDArray[np.float32]:
    return np.asarray(served.run(None, {input_of(model): np.stack(images)})[0])


_Pairs = list[tuple[NDArray[np.float32], NDArray[np.float64]]]


def _embedding(case: str, against: Literal["original", "one by one"], count: int, pairs: _Pairs) -> Difference:
    largest = max(float(np.abs(got - expected).max()) for got, expected in pairs)
    return Difference(case, against, count, "embedding", largest, TOLERANCE["embedding"])


def _detection(case: str, against: Literal["original", "one by one"], count: int, pairs: _Pairs) -> list[Difference]:
    measured = [row_difference(got.astype(np.float64), expected) for got, expected in pairs]
    score = max(each[0] for each in measured) if all(np.isfinite(measured).ravel()) else np.inf
    pixels = max(each[1] for each in measured) if all(np.isfinite(measured).ravel()) else np.inf
    return [
        Difference(case, against, count, "score", score, TOLERANCE["score"]),
        Difference(case, against, count, "pixels", pixels, TOLERANCE["pixels"]),
    ]


def row_difference(got: NDArray[np.float64], expected: NDArray[np.float64]) -> tuple[float, float]:
    """Return how far rows are from what is expected.

    Parameters
    ----------
    got
        [K,15] as served, best first, padded with zeros.
    expected
        [anchors,15] in any order, with or without padding.

    Returns
    -------
    Largest difference in score, and in pixels; infinite when rows are missing, too many, or not finite.
    """
    if not np.isfinite(got).all():
        return np.inf, np.inf
    wanted = expected[expected[:, 4] > 0]
    wanted = wanted[np.argsort(-wanted[:, 4], kind="stable")]
    rows = got[got[:, 4] > 0]
    best = wanted[: len(got)]
    if len(rows) != len(best) or got[len(rows) :].any():
        return np.inf, np.inf
    if not len(rows):
        return 0.0, 0.0
    score = float(np.abs(rows[:, 4] - best[:, 4]).max())
    candidates = wanted[wanted[:, 4] >= best[-1, 4] - TOLERANCE["score"]]
    free = np.ones(len(candidates), bool)
    pixels = 0.0
    for row in rows:
        distance = np.abs(candidates - row)
        near = np.where(
            free & (distance[:, 4] <= TOLERANCE["score"]), np.delete(distance, 4, axis=1).max(axis=1), np.inf
        )
        chosen = int(near.argmin())
        pixels = max(pixels, float(near[chosen]))
        free[chosen] = False
    return score, pixels
