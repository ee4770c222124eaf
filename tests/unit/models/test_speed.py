"""The measured cost of an image on a CPU, as the gateway reads it and the operator uses it."""

from pathlib import Path

import onnx
import pytest
from google.protobuf import text_format
from onnx import TensorProto, helper
from tests.unit.models import nets
from tritonclient.grpc import model_config_pb2

from vigil_gateway.services.detector import read_config
from vigil_models import api
from vigil_models.cli import _speed
from vigil_models.proof import speed
from vigil_models.repository.manifest import SpeedNote
from vigil_operator.reconcile.camera.cost import REFERENCE_PIXELS


def _graph(height: int | str, width: int | str) -> onnx.ModelProto:
    pixels = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", height, width, 3])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Erf", ["float"], ["answer"]),
    ]
    graph = helper.make_graph(nodes, "net", [pixels], [answer])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_the_gateway_reads_what_the_export_measured(tmp_path: Path) -> None:
    sums = nets.write_pack("buffalo_s", tmp_path / "in")
    exported = api.export_pack("buffalo_s", tmp_path / "in", "cpu-python", tmp_path / "out", sha256s=sums, instances=2)
    detector, embedder = exported.models
    assert detector.speed is not None
    assert detector.speed.reference_ms > 0
    assert (detector.speed.width, detector.speed.height) == (640, 384)
    assert embedder.speed is None
    text = (tmp_path / "out/face_detection/config.pbtxt").read_text()
    status = read_config(text_format.Parse(text, model_config_pb2.ModelConfig()))
    assert status is not None
    assert (status.instances, status.reference_ms) == (2, detector.speed.reference_ms)
    assert "vigil_reference_ms" not in (tmp_path / "out/face_recognition/config.pbtxt").read_text()


def test_a_gpu_has_no_measured_speed(tmp_path: Path) -> None:
    sums = nets.write_pack("buffalo_s", tmp_path / "in")
    exported = api.export_pack("buffalo_s", tmp_path / "in", "production", tmp_path / "out", sha256s=sums)
    assert [model.speed for model in exported.models] == [None, None]
    assert "vigil_reference_ms" not in (tmp_path / "out/face_detection/config.pbtxt").read_text()


def test_the_reference_image_is_that_of_the_operator() -> None:
    height, width = speed.REFERENCE_SIZE
    assert height * width == REFERENCE_PIXELS


def test_another_fixed_size_is_scaled_by_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_run_ms", lambda *_: 8.0)
    free, fixed = speed.measure(_graph("h", "w")), speed.measure(_graph(768, 640))
    assert (free.reference_ms, free.width, free.height) == (8.0, 640, 384)
    assert (fixed.reference_ms, fixed.width, fixed.height) == (4.0, 640, 768)
    assert "scaled" not in _speed(SpeedNote(**vars(free)))
    assert "4 ms of one core for an image of 640x384 (median of 9, measured at its fixed 640x768 and scaled" in _speed(
        SpeedNote(**vars(fixed))
    )
