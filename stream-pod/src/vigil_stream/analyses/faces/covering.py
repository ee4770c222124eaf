"""Faces that cover each other where people meet.

A face that is half hidden embeds far away from the same person's whole face, as far as another person's can be.
"""

from collections.abc import Iterable
from typing import Final

from vigil_contracts.events import Box
from vigil_stream.pipeline import geometry

COVERS: Final = 1.25
"""Distance of two faces, in their size, within which the head of one (0.75) may hide a part of the other (0.5)."""


def covers(others: Iterable[Box], box: Box) -> bool:
    """Return whether one of the other faces may hide a part of the face in a box."""
    return any(geometry.distance(other, box) < COVERS for other in others)
