"""Privacy masks on decoded frames: black in the planes themselves, before anything reads or scales them."""

from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from vigil_stream.capture.luma import plane
from vigil_stream.pipeline.regions import PrivacyMask

_PLANAR = frozenset(
    {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"},
)
"""Formats of 8 bits that are painted as they are; others are converted to RGB first."""

_SIZES = 4
"""Sizes of frames whose masks are kept."""


@dataclass(frozen=True, slots=True, eq=False)
class _Paint:
    """The paint of one plane: the part from `top` and `left` keeps the bits of `keep` and gets those of `set`."""

    top: int
    left: int
    keep: NDArray[np.uint8]
    set: NDArray[np.uint8] | None


class FrameMask:
    """Blackens the masked parts of the frames of one camera; not for several threads.

    Parameters
    ----------
    outlines
        As for `PrivacyMask`, in shares of the frame as people see it.
    """

    def __init__(self, outlines: Sequence[NDArray[np.floating]]) -> None:
        self._mask = PrivacyMask(outlines)
        self._reformatter = VideoReformatter()
        self._paints: dict[tuple[str, int, int], list[_Paint]] = {}

    def applied(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return a frame with black where it is masked.

        Parameters
        ----------
        frame
            In memory. It is painted itself where the decoder needs it no more, else copied.
        """
        if frame.format.name not in _PLANAR or any(one.line_size <= 0 for one in frame.planes):
            frame = self._reformatter.reformat(frame, format="rgb24", threads=1)
        frame.make_writable()
        for index, paint in enumerate(self._paints_for(frame)):
            rows, columns = paint.keep.shape
            part = plane(frame, index, paint.left + columns, paint.top + rows)[paint.top :, paint.left :]
            np.bitwise_and(part, paint.keep, out=part)
            if paint.set is not None:
                np.bitwise_or(part, paint.set, out=part)
        return frame

    def _paints_for(self, frame: av.VideoFrame) -> list[_Paint]:
        key = frame.format.name, frame.width, frame.height
        if key not in self._paints:
            if len(self._paints) >= _SIZES:
                self._paints.clear()
            self._paints[key] = _paints(self._mask.covered(frame.width, frame.height), frame.format)
        return self._paints[key]


def _paints(covered: NDArray[np.bool_], pixels: av.VideoFormat) -> list[_Paint]:
    """Return the paint of each plane for the covered pixels [h,w]."""
    if pixels.name == "rgb24":
        return [_paint(np.repeat(covered, 3, axis=1))]
    if pixels.name == "gray":
        return [_paint(covered)]
    height, width = covered.shape
    chroma = _with_neighbours(_in_blocks(covered, pixels.chroma_height(height), pixels.chroma_width(width)))
    if pixels.name == "nv12":
        return [_paint(covered), _paint(np.repeat(chroma, 2, axis=1), neutral=128)]
    return [_paint(covered), *[_paint(chroma, neutral=128)] * 2]


def _paint(covered: NDArray[np.bool_], neutral: int = 0) -> _Paint:
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    top, left = (int(rows[0]), int(columns[0])) if len(rows) else (0, 0)
    part = covered[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else covered[:0, :0]
    keep = np.where(part, 0, 255).astype(np.uint8)
    return _Paint(top, left, keep, ~keep & np.uint8(neutral) if neutral else None)


def _in_blocks(covered: NDArray[np.bool_], rows: int, columns: int) -> NDArray[np.bool_]:
    """Return which samples of chroma [rows,columns] belong to a covered pixel."""
    height, width = covered.shape
    down, across = -(-height // rows), -(-width // columns)
    whole = np.zeros((rows * down, columns * across), np.bool_)
    whole[:height, :width] = covered
    blocks: NDArray[np.bool_] = np.logical_or.reduce(whole.reshape(rows, down, columns, across), axis=(1, 3))
    return blocks


def _with_neighbours(samples: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return samples with those around them: conversion interpolates chroma, and black must not take on a colour."""
    wide = samples.copy()
    wide[:, 1:] |= samples[:, :-1]
    wide[:, :-1] |= samples[:, 1:]
    grown = wide.copy()
    grown[1:] |= wide[:-1]
    grown[:-1] |= wide[1:]
    return grown
