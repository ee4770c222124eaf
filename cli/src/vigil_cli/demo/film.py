"""Frames become video files in the cache: H.264 for video streams, JPEG for frames that are sent one by one."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from vigil_cli.demo.compose import compose
from vigil_cli.demo.cutout import cut_out
from vigil_cli.demo.people import PEOPLE
from vigil_cli.demo.scene import FPS, FRAMES, SCENES
from vigil_cli.errors import CommandError

H264_ENCODERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("libx264", {"preset": "veryfast", "crf": "20", "bf": "0"}),
    ("libopenh264", {}),
    ("mpeg4", {"qscale": "3"}),
)
"""The first encoder that this build of FFmpeg has is used; MPEG-4 is the last resort, which every decoder reads."""

AT_ONCE = 2
"""Pillow and FFmpeg release the interpreter, so threads are enough."""
KEPT = 3
"""Sets of films of other seeds or versions that stay in the cache."""


class Kind(StrEnum):
    """The format of a film."""

    H264 = "mp4"
    JPEG = "mkv"


Wanted = tuple[str, Kind]
"""The name of a scene and the format of its film."""


def ensure_films(
    cache: Path, photos: Mapping[str, Path], wanted: Sequence[Wanted], seed: int, progress: Callable[[int, int], None]
) -> dict[Wanted, Path]:
    """Return the films, made in the cache where they are missing.

    Parameters
    ----------
    photos
        Paths by name.
    progress
        Called with the number of finished frames and of all frames; not called when no film is missing.

    Raises
    ------
    CommandError
        The disk is full.
    """
    folder = cache / "demo" / "films" / f"{_version()}-{seed}"
    paths = {(name, kind): folder / f"{name}.{kind}" for name, kind in wanted}
    missing = {want: path for want, path in paths.items() if not path.exists()}
    if not missing:
        return paths
    figures = {person.key: cut_out(person, Image.open(photos[person.shown.name])) for person in PEOPLE}
    scenes = {scene.name: scene for scene in SCENES}
    step = _counter(len(missing) * FRAMES, progress)
    try:
        _remove_old(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            jobs = [
                pool.submit(write_film, path, kind, compose(scenes[name], figures, seed), step)
                for (name, kind), path in missing.items()
            ]
            for job in jobs:
                job.result()
    except OSError as error:
        raise CommandError(f"The films cannot be stored in {folder} ({error.strerror}); free some space.") from None
    return paths


def _counter(total: int, progress: Callable[[int, int], None]) -> Callable[[], None]:
    done, lock = 0, threading.Lock()

    def step() -> None:
        nonlocal done
        with lock:
            done += 1
            progress(done, total)

    return step


def _version() -> str:
    """Return a digest of the code that makes films; another version makes them again."""
    digest = hashlib.sha256()
    for name in ("people", "cutout", "backdrop", "scene", "compose", "film"):
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:12]


def _remove_old(folder: Path) -> None:
    old = sorted(folder.parent.glob("*/"), key=lambda path: path.stat().st_mtime, reverse=True)
    for stale in [path for path in old if path != folder][KEPT:]:
        for file in stale.iterdir():
            file.unlink(missing_ok=True)
        stale.rmdir()


def write_film(path: Path, kind: Kind, frames: Iterable[NDArray[np.uint8]], step: Callable[[], None]) -> None:
    """Write frames [H,W,3] uint8 RGB to a video file, which appears when it is complete.

    Parameters
    ----------
    step
        Called after each frame.
    """
    partial = path.with_name(f".{path.name}")
    with av.open(str(partial), "w", format="matroska" if kind is Kind.JPEG else "mp4") as container:
        stream: VideoStream | None = None
        for number, frame in enumerate(frames):
            if stream is None:
                stream = _stream(container, frame, kind)
            encoded = av.VideoFrame.from_ndarray(frame, format="rgb24")
            encoded.pts, encoded.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(encoded))
            step()
        if stream is not None:
            container.mux(stream.encode(None))
    partial.replace(path)


def _stream(container: OutputContainer, frame: NDArray[np.uint8], kind: Kind) -> VideoStream:
    name, options = ("mjpeg", {"qmin": "3", "qmax": "3"}) if kind is Kind.JPEG else h264_encoder()
    stream = cast("VideoStream", container.add_stream(name, rate=FPS, options=options))
    stream.height, stream.width = frame.shape[:2]
    stream.pix_fmt = "yuvj420p" if kind is Kind.JPEG else "yuv420p"
    stream.codec_context.gop_size = FPS  # a client that joins waits for a second at most
    stream.codec_context.thread_count = 1
    return stream


def h264_encoder() -> tuple[str, dict[str, str]]:
    """Return the first available encoder with its options."""
    return next((name, options) for name, options in H264_ENCODERS if name in av.codecs_available)


def jpeg_frames(path: Path) -> list[bytes]:
    """Return the frames of a film of kind JPEG, each as a JPEG file."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]
