"""The bare detector: the frames per second of ONNX Runtime alone on all cores.

The best arrangement on a CPU is one session with one thread for each core, side by side. Decoding the video, scaling
and normalising are left out: the frames lie ready in memory in the network's own input.
"""

import os
import threading
import time
from pathlib import Path

import cv2
import numpy as np

from bench.detectors import Array, Networks, letterbox, one_thread_session
from bench.plain_loop import HEIGHT, WIDTH

FRAMES = 24


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def frames(video: Path, networks: Networks, count: int = FRAMES) -> list[Array]:
    """Return evenly spaced frames of a video, as the network's input [1,3,384,640]."""
    capture = cv2.VideoCapture(str(video))
    total = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), count)
    wanted = set(np.linspace(0, total - 1, count).astype(int).tolist())
    found = []
    for index in range(total):
        good, frame = capture.read()
        if not good:
            break
        if index in wanted:
            found.append(networks.detector_input(letterbox(frame, WIDTH, HEIGHT)))
    capture.release()
    if not found:
        msg = f"{video} holds no frame that OpenCV can read"
        raise ValueError(msg)
    return found


class BareDetector:
    """One-thread sessions side by side, as many as cores, that work for a while and count.

    Parameters
    ----------
    networks
        Only the detector is used.
    video
        Source of the frames.
    """

    def __init__(self, networks: Networks, video: Path, sessions: int | None = None) -> None:
        self._frames = frames(video, networks)
        self._sessions = [one_thread_session(networks.detector) for _ in range(sessions or cores())]
        name = self._sessions[0].get_inputs()[0].name
        self._inputs = [{name: frame} for frame in self._frames]
        for session in self._sessions:
            session.run(None, self._inputs[0])

    def frames_per_second(self, seconds: float) -> float:
        """Return the frames per second of all sessions together, measured over `seconds`."""
        counts = [0] * len(self._sessions)
        stop = threading.Event()

        def work(index: int) -> None:
            session, inputs = self._sessions[index], self._inputs
            while not stop.is_set():
                session.run(None, inputs[counts[index] % len(inputs)])
                counts[index] += 1

        threads = [threading.Thread(target=work, args=(index,)) for index in range(len(counts))]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        done, elapsed_s = sum(counts), time.monotonic() - begun
        stop.set()
        for thread in threads:
            thread.join()
        return done / elapsed_s
