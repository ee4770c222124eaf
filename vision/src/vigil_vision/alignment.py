"""Alignment: five landmarks to the ArcFace template, and a fast bilinear warp of the face to 112x112 in pure NumPy.

The warp packs the three channels of a pixel into one 64-bit integer with lanes of 21 bits. Interpolation weights are
integers that sum to 2**13, so 255 * 2**13 fits a lane, and four multiplications interpolate all channels at once.
That spares a stream pod the memory of OpenCV.

A face much larger than 112 pixels is first averaged over whole blocks of pixels: a bilinear sample reads only four
neighbours, so without that it would skip pixels and alias.
"""

import numpy as np
from numpy.typing import NDArray

CROP = 112
"""Side of an aligned crop in pixels."""

ARCFACE_112: NDArray[np.float32] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""Where the five landmarks lie in an aligned crop; insightface `utils/face_align.py`, `arcface_dst`."""


def similarity_transforms(
    landmarks: NDArray[np.float32], template: NDArray[np.float32] = ARCFACE_112
) -> NDArray[np.float32]:
    """Find, for each face, the rotation, uniform scale and shift that bring its landmarks nearest to the template.

    Least squares after Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    IEEE PAMI 13(4), 1991. In the plane it has a closed form without a singular value decomposition.

    Parameters
    ----------
    landmarks
        [n,5,2] float32 in picture pixels.
    template
        [5,2] float32, where they should go.

    Returns
    -------
    [n,2,3] float32: `crop = M[:, :2] @ picture + M[:, 2]`.

    Raises
    ------
    ValueError
        When the shape is wrong, a coordinate is not finite, or all points of a face coincide.
    """
    raise NotImplementedError


def align(image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Cut faces out of a picture, turned and scaled onto the ArcFace template.

    Parameters
    ----------
    image
        [H,W,3] uint8 RGB, rows may be padded (any strides).
    landmarks
        [n,5,2] float32 in pixels of that picture; may lie outside of it.

    Returns
    -------
    [n,112,112,3] uint8 RGB, contiguous; what lies outside the picture is black, as in the embedders' training.

    Raises
    ------
    ValueError
        As `similarity_transforms`, or when the picture is not [H,W,3] uint8.
    """
    raise NotImplementedError
