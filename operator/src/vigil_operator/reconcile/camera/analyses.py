"""The analyses that a Camera can ask for: the models that each requests, and what it costs to admit; pure.

A new analysis is one more entry of `ANALYSES`: admission adds up its costs, and a Site's endpoints are asked for its
models.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from vigil_contracts.resources.camera import Analysis

REFERENCE_PIXELS: Final = 640 * 384
DETECTOR_SIDE: Final = 640
"""Longest side of the detector's input in pixels; a larger frame is scaled down to it."""
STRIDE: Final = 32
"""The detector's input is padded to multiples of it."""
MIN_COST: Final = 250
"""Thousandths of a reference detection that the smallest frame costs: the round trip."""


class FrameSize(NamedTuple):
    """Width and height of a Camera's frames in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ModelCost:
    """The requests of an analysis to one model.

    Attributes
    ----------
    model
        Name of the model in Triton.
    per_frame
        Thousandths of a reference detection that one analysed frame costs; the frame size is None while it is unknown.
    """

    model: str
    per_frame: Callable[[FrameSize | None], int]


def detection_cost(size: FrameSize | None) -> int:
    """Return the share of the reference frame that the detector gets of a frame, at least a quarter, in thousandths.

    A frame of unknown size counts as the reference frame.
    """
    if size is None:
        return 1000
    scale = min(1.0, DETECTOR_SIDE / max(size))
    pixels = _padded(size.width * scale) * _padded(size.height * scale)
    return max(MIN_COST, math.ceil(1000 * pixels / REFERENCE_PIXELS))


def _no_cost(_: FrameSize | None) -> int:
    return 0


ANALYSES: Final[dict[Analysis, tuple[ModelCost, ...]]] = {
    Analysis.FACES: (
        ModelCost("face_detection", detection_cost),
        # Requested only when a better shot of a person appears: no share of the frames.
        ModelCost("face_recognition", _no_cost),
    ),
}
"""The models of each analysis."""

MODELS: Final = tuple(cost.model for costs in ANALYSES.values() for cost in costs)
"""Names of all models in Triton, in the order in which an endpoint is asked for them."""


def camera_cost(analyses: Iterable[Analysis], fps: int, size: FrameSize | None) -> int:
    """Return what a Camera costs in thousandths of a reference detection per second.

    Parameters
    ----------
    fps
        Frames analysed per second, at most.
    size
        None while no frame was seen.
    """
    return fps * sum(cost.per_frame(size) for one in analyses for cost in ANALYSES.get(one, ()))


def _padded(side: float) -> int:
    return max(1, math.ceil(round(side) / STRIDE)) * STRIDE
