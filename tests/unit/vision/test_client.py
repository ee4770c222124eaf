"""Any model by its name: inputs, outputs and what is known of it."""

from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.faulty_triton import FaultyTriton

from vigil_vision.triton import InferenceRejected, InferenceUnavailable, ModelInfo, TensorInfo, TritonClient
from vigil_vision.triton.wire import Tensors

IMAGE = np.arange(2 * 32 * 64 * 3, dtype=np.uint64).astype(np.uint8).reshape(2, 32, 64, 3)
SCALE = np.array([[0.5, 0.25], [1, 2]], np.float32)


def client_of(
    *servers: FaultyTriton, deadline_s: float = 5.0, shared_memory: Literal["auto", "off"] = "off"
) -> TritonClient:
    return TritonClient([one.address for one in servers], deadline_s=deadline_s, shared_memory=shared_memory)


def test_the_configuration_of_a_model_is_typed(server: FaultyTriton) -> None:
    with client_of(server) as client:
        info = client.model_info("objects")
        detector = client.model_info("face_detection")
    assert (info.name, info.max_batch, info.model_id) == ("objects", 8, "")
    assert info.inputs == (
        TensorInfo("image", (-1, -1, 3), np.dtype(np.uint8)),
        TensorInfo("scale", (2,), np.dtype(np.float32)),
    )
    assert info.outputs[1] == TensorInfo("classes", (-1,), np.dtype(np.int32))
    assert info.parameters == {"labels": "car,dog"}
    assert info.input_dims("scale") == (2,)
    with pytest.raises(ValueError, match="no input 'photo'"):
        info.input_dims("photo")
    assert detector.model_id == "detector@0123456789ab"


def test_several_inputs_travel_and_all_outputs_return(server: FaultyTriton) -> None:
    with client_of(server) as client:
        result = client.infer("objects", {"image": IMAGE[:, ::-1], "scale": SCALE})
    assert {name: (array.shape, array.dtype) for name, array in result.values.items()} == {
        "boxes": ((2, 5, 4), np.dtype(np.float32)),
        "classes": ((2, 5), np.dtype(np.int32)),
    }
    assert (result.info.name, result.endpoint) == ("objects", server.address)
    request = server.requests[0]
    assert [(one.name, one.datatype, list(one.shape)) for one in request.inputs] == [
        ("image", "UINT8", [2, 32, 64, 3]),
        ("scale", "FP32", [2, 2]),
    ]
    assert list(request.raw_input_contents) == [IMAGE[:, ::-1].tobytes(), SCALE.tobytes()]


def test_only_inputs_outside_shared_memory_take_the_wire(server: FaultyTriton) -> None:
    server.knows_memory = True
    with client_of(server, shared_memory="auto") as client:
        buffer = client.frame_buffer(32, 64, batch=2)
        buffer[:] = IMAGE
        client.infer("objects", {"image": buffer, "scale": SCALE})
        assert client.endpoint_states()[0].shared_memory
    request = server.requests[0]
    assert request.inputs[0].parameters["shared_memory_byte_size"].int64_param == IMAGE.nbytes
    assert not request.inputs[1].parameters
    assert list(request.raw_input_contents) == [SCALE.tobytes()]


def test_a_large_batch_is_divided_alike_for_all_inputs(server: FaultyTriton) -> None:
    server.max_batch = 2
    with client_of(server) as client:
        inputs: Tensors = {"image": np.zeros((5, 32, 32, 3), np.uint8), "scale": np.zeros((5, 2), np.float32)}
        result = client.infer("objects", inputs)
    assert {name: array.shape for name, array in result.values.items()} == {"boxes": (5, 5, 4), "classes": (5, 5)}
    assert [[one.shape[0] for one in request.inputs] for request in server.requests] == [[2, 2], [2, 2], [1, 1]]


def test_a_model_without_batches_gets_its_inputs_as_they_are(server: FaultyTriton) -> None:
    server.max_batch = 0
    server.answer = np.ones((3, 4), np.float32)
    with client_of(server) as client:
        inputs = {"image": IMAGE[0], "scale": SCALE[0]}
        result = client.infer("objects", inputs, expect=lambda _: {"boxes": (-1, 4)})
    assert result.values["boxes"].shape == (3, 4)
    assert [list(one.shape) for one in server.requests[0].inputs] == [[32, 64, 3], [2]]


def test_nothing_is_sent_for_no_items(server: FaultyTriton) -> None:
    with client_of(server) as client:
        result = client.infer("objects", {"image": IMAGE[:0], "scale": SCALE[:0]})
    assert server.infers == 0
    assert result.values["boxes"].shape == (0, 0, 4)
    assert result.values["classes"].dtype == np.int32


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"image": IMAGE, "scale": SCALE[:1]}, "the same number of items"),
        ({"image": IMAGE.astype("datetime64[s]")}, r"datetime64\[s\] cannot be sent; BOOL, UINT8"),
    ],
    ids=["unequal batches", "no such type"],
)
def test_impossible_inputs_are_rejected(server: FaultyTriton, inputs: dict[str, NDArray[Any]], words: str) -> None:
    with client_of(server) as client, pytest.raises(InferenceRejected, match=words):
        client.infer("objects", inputs)
    assert server.infers == 0


def test_outputs_other_than_configured_are_refused(server: FaultyTriton) -> None:
    server.answer = np.ones((2, 5, 3), np.float32)
    with client_of(server, deadline_s=1.0) as client, pytest.raises(InferenceUnavailable, match=r"\[2, -1, 4\]"):
        client.infer("objects", {"image": IMAGE, "scale": SCALE})


def test_a_missing_output_is_named(server: FaultyTriton) -> None:
    with client_of(server, deadline_s=1.0) as client, pytest.raises(InferenceUnavailable, match="'masks' is expected"):
        client.infer("objects", {"image": IMAGE}, expect=lambda _: {"masks": (2, 5)})


def test_an_endpoint_with_an_unusable_model_is_passed_over(server: FaultyTriton, spare: FaultyTriton) -> None:
    server.parameters["objects"].clear()

    def labels(info: ModelInfo) -> str:
        if "labels" not in info.parameters:
            raise ValueError("parameter labels is missing")
        return info.parameters["labels"]

    def expect(info: ModelInfo) -> dict[str, tuple[int, ...]]:
        labels(info)
        return {"boxes": (2, -1, 4)}

    with client_of(server, spare) as client:
        assert client.infer("objects", {"image": IMAGE}, expect=expect).endpoint == spare.address
        assert client.read_info("objects", labels) == "car,dog"
        assert "objects: parameter labels is missing" in client.endpoint_states()[0].last_error
    assert server.infers == 0


def test_ready_asks_for_every_model(server: FaultyTriton) -> None:
    with client_of(server) as client:
        assert client.ready(("objects", "face_detection", "face_recognition"))
        server.stop()
        assert not client.ready(("objects",), deadline_s=0.4)
