"""The bare detector: how many pictures a second ONNX Runtime looks at on all cores, with nothing around it.

The best arrangement on a CPU is one session with one thread for each core, side by side. Decoding the video, scaling
and normalising are left out: the pictures lie ready in memory in the network's own input.
"""

import os
import threading
import time
from pathlib import Path

import cv2
import numpy as np

from bench.detectors import Array, Networks, letterbox, one_thread_session
from bench.plain_loop import HEIGHT, WIDTH

PICTURES = 24


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def pictures(video: Path, networks: Networks, count: int = PICTURES) -> list[Array]:
    """Take pictures evenly out of a video, as the network's input [1,3,384,640]."""
    capture = cv2.VideoCapture(str(video))
    total = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), count)
    wanted = set(np.linspace(0, total - 1, count).astype(int).tolist())
    found = []
    for index in range(total):
        good, picture = capture.read()
        if not good:
            break
        if index in wanted:
            found.append(networks.detector_input(letterbox(picture, WIDTH, HEIGHT)))
    capture.release()
    if not found:
        msg = f"{video} holds no picture that OpenCV can read"
        raise ValueError(msg)
    return found


class BareDetector:
    """One-thread sessions side by side, as many as cores, that work for a while and count.

    Parameters
    ----------
    networks
        Only the detector is used.
    video
        Where the pictures come from.
    """

    def __init__(self, networks: Networks, video: Path, sessions: int | None = None) -> None:
        self._pictures = pictures(video, networks)
        self._sessions = [one_thread_session(networks.detector) for _ in range(sessions or cores())]
        name = self._sessions[0].get_inputs()[0].name
        self._inputs = [{name: picture} for picture in self._pictures]
        for session in self._sessions:
            session.run(None, self._inputs[0])

    def frames_per_second(self, seconds: float) -> float:
        """Work for `seconds` and give all sessions' pictures per second."""
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
        done, took = sum(counts), time.monotonic() - begun
        stop.set()
        for thread in threads:
            thread.join()
        return done / took
