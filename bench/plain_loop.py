"""The plain loop, the other side of the comparison: one thread for each camera.

OpenCV `VideoCapture` → detector → every face aligned and embedded, every time → NumPy search. The two networks are
opened with ONNX Runtime's own defaults, once for each camera or once for all. Run as a program it prints one JSON line:
`python -m bench.plain_loop --pack scrfd --detector D --embedder E --urls rtsp://… rtsp://…`
"""

import argparse
import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from bench.detectors import KINDS, Array, Image, Networks, align, default_session, letterbox, unit

WIDTH, HEIGHT = 640, 384


@dataclass(slots=True)
class Camera:
    """Counters of one thread: frames read and analysed, faces, and its lag behind the stream in seconds."""

    read: int = 0
    analysed: int = 0
    faces: int = 0
    embedded: int = 0
    fps: float = 30.0
    failed: str = ""
    lags: list[float] = field(default_factory=list)


class Loop:
    """The networks, the gallery, and the work on one frame."""

    def __init__(self, networks: Networks, gallery: Array) -> None:
        self._networks = networks
        self._detector = default_session(networks.detector)
        self._embedder = default_session(networks.embedder)
        self._gallery = gallery

    def analyse(self, frame: Image) -> int:
        """Find, embed and look up every face; return the number of faces."""
        boxed = letterbox(frame, WIDTH, HEIGHT)
        blob = self._networks.detector_input(boxed)
        outputs = self._detector.run(None, {self._detector.get_inputs()[0].name: blob})
        faces = self._networks.faces(outputs, WIDTH)
        name = self._embedder.get_inputs()[0].name
        for face in faces:
            crop = self._networks.embedder_input(align(boxed, face))
            embedding = unit(self._embedder.run(None, {name: crop})[0])
            similarities = self._gallery @ embedding
            int(similarities.argmax())
        return len(faces)


def watch(loop: Loop, url: str, fps: float, camera: Camera, stop: threading.Event, ready: threading.Barrier) -> None:
    """Read a stream for ever and analyse `fps` frames of every second of it."""
    capture = cv2.VideoCapture(url)
    camera.fps = capture.get(cv2.CAP_PROP_FPS) or 30.0
    every = camera.fps / fps
    opened, _ = capture.read()
    if not opened:
        camera.failed = f"{url} could not be opened"
    ready.wait(60)
    begun, due = time.monotonic(), 0.0
    paced = "://" not in url
    while opened and not stop.is_set():
        if paced:
            time.sleep(max(0.0, begun + camera.read / camera.fps - time.monotonic()))
        good, frame = capture.read()
        if paced and not good:
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            good, frame = capture.read()
        if not good:
            camera.failed = "the stream ended"
            break
        if camera.read >= due:
            due += every
            try:
                camera.faces += loop.analyse(frame)
            except Exception as error:  # noqa: BLE001 - reported in the result; a thread has no caller
                camera.failed = str(error)
                break
            camera.analysed += 1
            camera.lags.append(time.monotonic() - begun - camera.read / camera.fps)
        camera.read += 1
    capture.release()


def run(loops: list[Loop], urls: list[str], fps: float, seconds: float, warm_up: float) -> dict[str, object]:
    """Return the counts of all streams, each with its loop, over `seconds` after `warm_up` seconds."""
    states = [Camera() for _ in loops]
    stop, ready = threading.Event(), threading.Barrier(len(loops) + 1)
    threads = [
        threading.Thread(target=watch, args=(loop, url, fps, state, stop, ready))
        for loop, url, state in zip(loops, urls, states, strict=True)
    ]
    for thread in threads:
        thread.start()
    ready.wait(60)
    time.sleep(warm_up)
    before = [(state.analysed, len(state.lags)) for state in states]
    begun = time.monotonic()
    time.sleep(seconds)
    elapsed_s = time.monotonic() - begun
    after = [state.analysed for state in states]
    lags = [list(state.lags[start:]) for state, (_, start) in zip(states, before, strict=True)]
    stop.set()
    for thread in threads:
        thread.join(30)
    return {
        "fps": [(now - then) / elapsed_s for now, (then, _) in zip(after, before, strict=True)],
        "lag_growth_s": [lag[-1] - lag[0] if len(lag) > 1 else elapsed_s for lag in lags],
        "faces": sum(state.faces for state in states),
        "analysed": sum(state.analysed for state in states),
        "failed": [state.failed for state in states if state.failed],
    }


def main() -> None:
    """Run the loop from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", choices=sorted(KINDS), required=True)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--embedder", type=Path, required=True)
    parser.add_argument("--urls", nargs="+", required=True, help="one for each camera")
    parser.add_argument("--fps", type=float, default=5)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--warm-up", type=float, default=4)
    parser.add_argument("--subjects", type=int, default=2)
    parser.add_argument("--own-networks", action="store_true", help="open the networks once for each thread")
    options = parser.parse_args()
    networks = KINDS[options.pack](options.detector, options.embedder)
    random = np.random.default_rng(0)
    gallery = np.stack([unit(random.standard_normal(128)) for _ in range(options.subjects)])
    shared = Loop(networks, gallery)
    loops = [Loop(networks, gallery) if options.own_networks else shared for _ in options.urls]
    print(json.dumps(run(loops, options.urls, options.fps, options.seconds, options.warm_up)))


if __name__ == "__main__":
    main()
