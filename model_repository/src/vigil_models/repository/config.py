"""The `config.pbtxt` of each model for each target, as text.

Every decision is written here once, with its reason. The format is Triton's `ModelConfig`
(https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto).
"""

from collections.abc import Mapping
from enum import StrEnum

from vigil_models.catalogue import CROP, Detector, Model
from vigil_models.graph import detection, recognition
from vigil_models.graph.preprocess import input_of


class Target(StrEnum):
    """The kind of server that a repository is for."""

    PRODUCTION = "production"
    """Triton's ONNX Runtime backend on GPUs, TensorRT in FP16."""
    CPU_PYTHON = "cpu-python"
    """Triton's python backend around ONNX Runtime, for machines without a GPU."""


MAX_BATCH = {"face_detection": 8, "face_recognition": 32}
"""A frame is one image; all crops of a frame are one request, and 32 faces in a frame are a crowd."""

PREFERRED = {"face_detection": (4, 8), "face_recognition": (8, 16, 32)}
"""Batch sizes at which a GPU is well filled; a TensorRT engine is fastest at sizes it was tuned for."""

QUEUE_DELAY_US = {"face_detection": 1_000, "face_recognition": 2_000}
"""Longest wait of a request for others on a GPU: small beside the 100 ms from frame to identity."""

QUEUE_TIMEOUT_US = {"face_detection": 1_000_000, "face_recognition": 3_000_000}
"""A frame that waited a second is of no use: the camera's newest frame is. A best shot is worth more patience."""

MAX_QUEUE = {"face_detection": 64, "face_recognition": 128}
"""Requests that may wait; more are refused at once, so that clients see overload instead of latency."""

WARM_UP_SIZE = (384, 640)
"""Height and width of the frames that detectors warm up with: 16:9 at the default analysis size."""

REFERENCE_MS = "vigil_reference_ms"
"""Parameter with the milliseconds of one core for one reference image, from which a Site's capacity is computed."""

WORKSPACE_BYTES = 1 << 30
ENGINE_CACHE = "/var/cache/vigil/tensorrt"
"""Folder of the engines between starts (a volume in production): building one takes minutes."""


def render(model: Model, target: Target, model_id: str, instances: int, *, reference_ms: float | None = None) -> str:
    """Return the text of a model's `config.pbtxt`.

    Parameters
    ----------
    model
        The catalogue's entry.
    target
        Where it will be served.
    model_id
        `<name>@<12 hex digits>`, carried to every client.
    instances
        The number of instances of the model, on each GPU or on the CPU.
    reference_ms
        Milliseconds measured of a detector; None without a measurement.
    """
    blocks = [
        f'name: "{model.task}"',
        'platform: "onnxruntime_onnx"' if target is Target.PRODUCTION else 'backend: "python"',
        f"max_batch_size: {MAX_BATCH[model.task]}",
        _tensors(model),
        "version_policy { latest { num_versions: 1 } }",
        _instances(target, instances),
        *([_accelerator(model)] if target is Target.PRODUCTION else []),
        _batching(model, target),
        _warm_up(model),
        *[_parameter(key, value) for key, value in parameters(model, model_id, reference_ms).items()],
    ]
    head = "# Written by vigil-models export; change the catalogue or the exporter, not this file.\n"
    return head + "\n".join(blocks) + "\n"


def parameters(model: Model, model_id: str, reference_ms: float | None = None) -> Mapping[str, str]:
    """Return the parameters that clients read from the model's configuration, so that they need no catalogue."""
    measured = {} if reference_ms is None else {REFERENCE_MS: f"{reference_ms:.3f}"}
    if isinstance(model, Detector):
        return {
            "vigil_model_id": model_id,
            "score_threshold_permille": str(model.score_threshold_permille),
            "enrol_score_threshold_permille": str(model.enrol_score_threshold_permille),
            "nms_iou_permille": str(model.nms_iou_permille),
            "top_k": str(model.top_k),
            "input_multiple": str(max(model.strides)),
            **measured,
        }
    return {
        "vigil_model_id": model_id,
        "embedding_size": str(model.embedding_size),
        "match_threshold_permille": str(model.match_threshold_permille),
        "match_margin_permille": str(model.match_margin_permille),
        "same_person_permille": str(model.same_person_permille),
        "other_person_permille": str(model.other_person_permille),
        "alignment_template": model.alignment_template,
    }


def _tensors(model: Model) -> str:
    if isinstance(model, Detector):
        size, name, dims = "-1, -1", detection.OUTPUT, f"{model.top_k}, {detection.ROW}"
    else:
        size, name, dims = f"{CROP}, {CROP}", recognition.OUTPUT, str(model.embedding_size)
    return (
        f'input [ {{ name: "{input_of(model)}" data_type: TYPE_UINT8 dims: [ {size}, 3 ] }} ]\n'
        f'output [ {{ name: "{name}" data_type: TYPE_FP32 dims: [ {dims} ] }} ]'
    )


def _instances(target: Target, instances: int) -> str:
    kind = "KIND_GPU" if target is Target.PRODUCTION else "KIND_CPU"
    return f"instance_group [ {{ kind: {kind} count: {instances} }} ]"


def _accelerator(model: Model) -> str:
    # No explicit profile: ONNX Runtime widens its profile by the shapes it meets, and the warm-up shows it the smallest
    # and the largest before the first client connects.
    options = {
        "precision_mode": "FP16",
        "max_workspace_size_bytes": str(WORKSPACE_BYTES),
        "trt_engine_cache_enable": "true",
        "trt_engine_cache_path": f"{ENGINE_CACHE}/{model.task}",
        "trt_timing_cache_enable": "true",
        "trt_timing_cache_path": f"{ENGINE_CACHE}/{model.task}",
    }
    lines = "\n".join(f'      parameters {{ key: "{key}" value: "{value}" }}' for key, value in options.items())
    return (
        "optimization {\n  execution_accelerators {\n    gpu_execution_accelerator [ {\n"
        f'      name: "tensorrt"\n{lines}\n    }} ]\n  }}\n}}'
    )


def _batching(model: Model, target: Target) -> str:
    # A CPU gains nothing from a larger batch. There a batch of one request keeps the second instance from starving
    # while the first works through a list, and no request waits for others.
    preferred = PREFERRED[model.task] if target is Target.PRODUCTION else (1,)
    delay = QUEUE_DELAY_US[model.task] if target is Target.PRODUCTION else 0
    return (
        "dynamic_batching {\n"
        f"  preferred_batch_size: [ {', '.join(map(str, preferred))} ]\n"
        f"  max_queue_delay_microseconds: {delay}\n"
        "  default_queue_policy {\n"
        "    timeout_action: REJECT\n"
        f"    default_timeout_microseconds: {QUEUE_TIMEOUT_US[model.task]}\n"
        "    allow_timeout_override: true\n"
        f"    max_queue_size: {MAX_QUEUE[model.task]}\n"
        "  }\n}"
    )


def _warm_up(model: Model) -> str:
    height, width = WARM_UP_SIZE if isinstance(model, Detector) else (CROP, CROP)
    return "\n".join(
        f'model_warmup [ {{\n  name: "batch {size}"\n  batch_size: {size}\n'
        f'  inputs {{ key: "{input_of(model)}" value: {{ data_type: TYPE_UINT8 dims: [ {height}, {width}, 3 ] '
        "random_data: true } }\n} ]"
        for size in (1, MAX_BATCH[model.task])
    )


def _parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}'
