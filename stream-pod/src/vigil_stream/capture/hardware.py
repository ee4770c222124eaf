"""Decoding on the GPU: whether it is there, and why not."""

from functools import cache

import av
from av.codec.hwaccel import HWAccel

from vigil_contracts.conditions import SourceReason
from vigil_contracts.resources.camera import Accelerator
from vigil_stream.capture.errors import SourceError


@cache
def why_no_cuda() -> str:
    """Try once to open the first CUDA device for decoding; empty when it works, else the reason in words."""
    try:
        HWAccel("cuda", allow_software_fallback=False).create(av.Codec("h264", "r"))
    except (av.FFmpegError, OSError, RuntimeError, ValueError, NotImplementedError) as error:
        return f"no CUDA device can be opened ({getattr(error, 'strerror', None) or error})"
    return ""


def choose(accelerator: Accelerator) -> tuple[HWAccel | None, str]:
    """Pick the decoder that a Camera asks for.

    Returns
    -------
    The accelerator for `av.open`, None for the CPU; and a note that says why Auto took the CPU, else empty.

    Raises
    ------
    SourceError
        CUDA was asked for and is not there.
    """
    if accelerator is Accelerator.CPU:
        return None, ""
    missing = why_no_cuda()
    if not missing:
        # Pictures stay on the GPU until one is chosen for analysis; most are not.
        return HWAccel("cuda", allow_software_fallback=accelerator is Accelerator.AUTO, is_hw_owned=True), ""
    if accelerator is Accelerator.CUDA:
        told = f"decode.accelerator is CUDA, but {missing}; run the camera on a GPU node or set it to Auto"
        raise SourceError(SourceReason.CODEC_UNSUPPORTED, told)
    return None, f"decoding on the CPU: {missing}"
