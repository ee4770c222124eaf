"""A server of Triton's protocol that fails on demand, as a real Triton cannot."""

import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from vigil_vision.triton import wire

M = wire.messages
Tensor = tuple[str, str, list[int]]
"""Name, type and dims of an input or output."""

PARAMETERS = {
    "face_detection": {
        "vigil_model_id": "detector@0123456789ab",
        "score_threshold_permille": "500",
        "enrol_score_threshold_permille": "600",
        "nms_iou_permille": "400",
        "top_k": "8",
    },
    "face_recognition": {
        "vigil_model_id": "embedder@0123456789ab",
        "embedding_size": "4",
        "match_threshold_permille": "360",
        "match_margin_permille": "50",
        "alignment_template": "arcface_112",
    },
    "objects": {"labels": "car,dog"},
}
INPUTS: dict[str, list[Tensor]] = {
    "face_detection": [("image", "UINT8", [-1, -1, 3])],
    "face_recognition": [("face", "UINT8", [112, 112, 3])],
    "objects": [("image", "UINT8", [-1, -1, 3]), ("scale", "FP32", [2])],
}
OUTPUTS: dict[str, list[Tensor]] = {
    "face_detection": [("detections", "FP32", [8, 15])],
    "face_recognition": [("embedding", "FP32", [4])],
    "objects": [("boxes", "FP32", [-1, 4]), ("classes", "INT32", [-1])],
}
DTYPES = {"UINT8": np.uint8, "FP32": np.float32, "INT32": np.int32}


class FaultyTriton:
    """Answers like Triton, with ones, unless `fault` or `answer` is set."""

    def __init__(self) -> None:
        self.fault: Callable[[grpc.ServicerContext], None] | None = None
        self.answer: NDArray[Any] | None = None
        self.parameters = {model: dict(texts) for model, texts in PARAMETERS.items()}
        self.max_batch = 8
        self.knows_memory = False
        self.registers: threading.Event | None = None
        self.infers = 0
        self.requests: list[Any] = []
        self._server: grpc.Server | None = None
        self.port = self.start(0)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, port: int | None = None) -> int:
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        methods = {
            "ModelInfer": (self._infer, M.ModelInferRequest),
            "ModelConfig": (self._config, M.ModelConfigRequest),
            "ModelReady": (lambda *_: M.ModelReadyResponse(ready=True), M.ModelReadyRequest),
            "SystemSharedMemoryRegister": (self._register_memory, M.SystemSharedMemoryRegisterRequest),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                behaviour, request_deserializer=kind.FromString, response_serializer=lambda m: m.SerializeToString()
            )
            for name, (behaviour, kind) in methods.items()
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),)
        )
        bound: int = self._server.add_insecure_port(f"127.0.0.1:{self.port if port is None else port}")
        self._server.start()
        return bound

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(0).wait(5)

    def _config(self, request: Any, _: grpc.ServicerContext) -> Any:
        response = M.ModelConfigResponse()
        response.config.name = request.name
        response.config.max_batch_size = self.max_batch
        for name, value in self.parameters[request.name].items():
            response.config.parameters[name].string_value = value
        for described, tensors in ((response.config.input, INPUTS), (response.config.output, OUTPUTS)):
            for name, datatype, dims in tensors[request.name]:
                described.add(name=name, data_type=f"TYPE_{datatype}", dims=dims)
        return response

    def _register_memory(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.registers is not None:
            self.registers.wait(10)
        if self.knows_memory:
            details = f"shared memory region '{request.name}' already in manager"
            context.abort(grpc.StatusCode.ALREADY_EXISTS, details)
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Unable to open shared memory region: '{request.key}'")

    def _infer(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.infers += 1
        self.requests.append(request)
        if self.fault is not None:
            self.fault(context)
        count = request.inputs[0].shape[0]
        response = M.ModelInferResponse(model_name=request.model_name)
        for name, datatype, dims in OUTPUTS[request.model_name]:
            values = np.ones((count, *(5 if side < 0 else side for side in dims)), DTYPES[datatype])
            if self.answer is not None:
                values = self.answer
            response.outputs.add(name=name, datatype=datatype, shape=values.shape)
            response.raw_output_contents.append(values.tobytes())
        return response
