"""Frames as people see them: upright, with square pixels and whole lines of one moment.

A phone stores its video as its sensor lies, with a matrix that turns it. Anamorphic video has pixels that are not
square. An interlaced frame holds two moments, in every second line each: one of them is kept.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

import av
import numpy as np
from av.filter import Graph

from vigil_stream.capture.convert import Converter
from vigil_stream.capture.errors import MAX_SIDE

_QUARTER: Final = ((0, -1), (1, 0))
_MIRROR: Final = ((-1, 0), (0, 1))
_UPRIGHT: Final = ((1, 0), (0, 1))
Matrix = tuple[tuple[int, int], tuple[int, int]]
"""From a position in the stored frame to the one that is shown: x to the right, y downwards."""

_NEARLY_SQUARE: Final = 0.03
_MAX_ASPECT: Final = 3
"""Pixels further from square are a mistake of the encoder, and are taken as they are."""

_TRANSPOSE: Final = {
    (False, False): "cclock_flip",
    (True, False): "clock",
    (False, True): "cclock",
    (True, True): "clock_flip",
}
"""FFmpeg's names of a transposition, by what is flipped after it: left and right, up and down."""


@dataclass(frozen=True, slots=True)
class _Change:
    """The change that frames of one size need."""

    width: int
    height: int
    format: str
    matrix: Matrix
    aspect: Fraction
    interlaced: bool

    def filters(self) -> list[tuple[str, str]]:
        """Return FFmpeg's filters in their order, none when frames are upright as they are."""
        found = [("field", "type=top")] if self.interlaced else []
        width, height = self._square()
        if self.interlaced or (width, height) != (self.width, self.height):
            found.append(("scale", f"{width}:{height}:flags=bicubic"))
        (a, c), (b, d) = self.matrix
        if a:
            found += [("hflip", "")] if a < 0 else []
            found += [("vflip", "")] if d < 0 else []
        else:
            found.append(("transpose", f"dir={_TRANSPOSE[c < 0, b < 0]}"))
        return found

    def _square(self) -> tuple[int, int]:
        """Return the size with square pixels; the shorter side of a pixel grows, so that nothing is lost."""
        width, height, aspect = self.width, self.height, self.aspect
        if not Fraction(1, _MAX_ASPECT) <= aspect <= _MAX_ASPECT or abs(aspect - 1) <= _NEARLY_SQUARE:
            return width, height
        if aspect > 1:
            width = min(round(width * aspect / 2) * 2, MAX_SIDE)
        else:
            height = min(round(height / aspect / 2) * 2, MAX_SIDE)
        return width, height


class Upright:
    """Turns the frames of one stream upright; not for several threads.

    Parameters
    ----------
    rotation
        Degrees by which a frame has to be turned clockwise, after what the stream itself states: 0, 90, 180 or 270.
    mirror
        Swap left and right after that.
    """

    def __init__(self, rotation: int = 0, *, mirror: bool = False) -> None:
        self._camera: Matrix = _UPRIGHT
        for _ in range(rotation // 90):
            self._camera = _product(_QUARTER, self._camera)
        if mirror:
            self._camera = _product(_MIRROR, self._camera)
        self._converter = Converter()
        self._stated: tuple[int, int, int] | None = None
        self._matrix: Matrix = _UPRIGHT
        self._change: _Change | None = None
        self._graph: Any = None

    def begin(self) -> None:
        """Begin another stream, of which the next frame is the first."""
        self._stated = None

    def apply(self, frame: av.VideoFrame, aspect: Fraction | None = None) -> av.VideoFrame:
        """Return a frame upright: itself when it is, else a copy in memory.

        Parameters
        ----------
        aspect
            Width of a pixel over its height; None: not known, and taken for 1.
        """
        matrix = _product(self._camera, self._stated_matrix(frame))
        square = aspect is None or abs(aspect - 1) <= _NEARLY_SQUARE
        if matrix == _UPRIGHT and square and not frame.interlaced_frame:
            return frame
        before = self._converter.in_memory(frame)
        change = _Change(
            before.width, before.height, before.format.name, matrix, aspect or Fraction(1), frame.interlaced_frame
        )
        if change != self._change:
            self._change, self._graph = change, _graph(change)
        if self._graph is None:
            return frame
        self._graph.push(before)
        turned: av.VideoFrame = self._graph.pull()
        turned.colorspace, turned.color_range = frame.colorspace, frame.color_range
        return turned

    def _stated_matrix(self, frame: av.VideoFrame) -> Matrix:
        """Return the matrix that the stream states, read again when its angle or the size of the frames changes.

        PyAV keeps a frame whose side data were read until the garbage collector finds it: megabytes, at each frame.
        """
        stated = (frame.rotation, frame.width, frame.height)
        if stated != self._stated:
            self._stated, self._matrix = stated, _display_matrix(frame)
        return self._matrix


def _graph(change: _Change) -> Any:  # noqa: ANN401 - PyAV types what a graph returns as audio or video
    """Return the graph of a change; None when nothing is to be done."""
    filters = change.filters()
    if not filters:
        return None
    graph: Any = Graph()
    steps = [
        graph.add_buffer(width=change.width, height=change.height, format=change.format, time_base=Fraction(1, 1000))
    ]
    steps += [graph.add(name, options) if options else graph.add(name) for name, options in filters]
    steps.append(graph.add("buffersink"))
    for one, following in pairwise(steps):
        one.link_to(following)
    graph.configure()
    return graph


def _product(left: Matrix, right: Matrix) -> Matrix:
    (a, c), (b, d) = (
        tuple(sum(left[row][k] * right[k][column] for k in (0, 1)) for column in (0, 1)) for row in (0, 1)
    )
    return (a, c), (b, d)


def _display_matrix(frame: av.VideoFrame) -> Matrix:
    """Return the quarter turn and the flips of a frame's display matrix (ISO 14496-12, 8.3.2), the nearest ones."""
    side_data: Any = frame.side_data
    try:
        data = side_data["DISPLAYMATRIX"]
    except KeyError:
        return _UPRIGHT
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    if abs(a * d) >= abs(b * c):
        return (-1 if a < 0 else 1, 0), (0, -1 if d < 0 else 1)
    return (0, -1 if c < 0 else 1), (-1 if b < 0 else 1, 0)
