"""The time of a detector on one core, so that the capacity of a Site is computed for the machine that serves it.

Processor time of the one thread that runs the session is measured, not the time on the wall: while a Site starts, its
cores do other work as well, which is not the detector's.
"""

import statistics
import time
from dataclasses import dataclass
from typing import Final

import onnx
import onnxruntime as ort

from vigil_models.proof import inputs

REFERENCE_SIZE: Final = (384, 640)
"""Height and width of the image in which a Site's capacity is counted."""

WARM_UPS: Final = 3
RUNS: Final = 9


@dataclass(frozen=True)
class Speed:
    """The cost of one reference image."""

    reference_ms: float
    """Milliseconds of one core for one image of `REFERENCE_SIZE`; at least 0.001."""
    width: int
    """The width of the image that was measured; not the reference size where the graph has another fixed size."""
    height: int
    runs: int
    """Number of runs whose median it is."""


def measure(graph: onnx.ModelProto) -> Speed:
    """Return the speed of a detector's graph on one core.

    Parameters
    ----------
    graph
        As it is served: one input, UINT8 [N,H,W,3]. Where H and W are fixed it is measured at that size, and the
        milliseconds are scaled by the number of pixels.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (model_input,) = session.get_inputs()
    height, width = _size(model_input.shape)
    feed = {model_input.name: inputs.scene(height, width, 5)[None]}
    for _ in range(WARM_UPS):
        session.run(None, feed)
    median_ms = statistics.median(_run_ms(session, feed) for _ in range(RUNS))
    scale = REFERENCE_SIZE[0] * REFERENCE_SIZE[1] / (height * width)
    return Speed(max(0.001, round(median_ms * scale, 3)), width, height, RUNS)


def _size(shape: list[int | str | None]) -> tuple[int, int]:
    _, height, width, _ = shape
    return (height, width) if isinstance(height, int) and isinstance(width, int) else REFERENCE_SIZE


def _run_ms(session: ort.InferenceSession, feed: dict[str, inputs.Image]) -> float:
    started = time.thread_time_ns()
    session.run(None, feed)
    return (time.thread_time_ns() - started) / 1e6
