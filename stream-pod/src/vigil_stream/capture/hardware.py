"""Decoding on the GPU: whether it is available, and why not."""

import logging
from functools import cache

import av
from av.codec.hwaccel import HWAccel

from vigil_contracts.conditions import SourceReason
from vigil_contracts.resources.camera import Accelerator
from vigil_stream.capture.errors import SourceError

log = logging.getLogger(__name__)


@cache
def why_no_cuda() -> str:
    """Return why the first CUDA device cannot be opened for decoding; empty when it can. Tried once."""
    try:
        HWAccel("cuda", allow_software_fallback=False).create(av.Codec("h264", "r"))
    except (av.FFmpegError, OSError, RuntimeError, ValueError, NotImplementedError) as error:
        missing = f"no CUDA device can be opened ({getattr(error, 'strerror', None) or error})"
        log.info(
            "no CUDA device; decoding on the CPU unless a Camera requires CUDA", extra={"fields": {"reason": missing}}
        )
        return missing
    return ""


def choose(accelerator: Accelerator) -> HWAccel | None:
    """Return the accelerator that a Camera asks for, as `av.open` takes it; None: the CPU.

    Auto on a machine without a GPU is no fault: the log names the reason, and the heartbeat the decoder.

    Raises
    ------
    SourceError
        CUDA was asked for and is not there.
    """
    if accelerator is Accelerator.CPU:
        return None
    missing = why_no_cuda()
    if not missing:
        # Frames stay on the GPU until one is sampled for analysis; most are not.
        return HWAccel("cuda", allow_software_fallback=accelerator is Accelerator.AUTO, is_hw_owned=True)
    if accelerator is Accelerator.CUDA:
        message = f"decode.accelerator is CUDA, but {missing}; run the camera on a GPU node or set it to Auto"
        raise SourceError(SourceReason.CODEC_UNSUPPORTED, message)
    return None
