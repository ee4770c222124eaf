"""An unfit file is refused with a message that names the file and what is expected."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.unit.models import nets

from vigil_models import api
from vigil_models.errors import ChecksumMismatch, MissingFile, NotOnnx, SourceFileError, WrongLayout

DETECTOR, EMBEDDER = "det_10g.onnx", "w600k_r50.onnx"


def _truncated(folder: Path) -> None:
    path = folder / DETECTOR
    path.write_bytes(path.read_bytes()[:-1000])


def _no_onnx(folder: Path) -> None:
    (folder / DETECTOR).write_bytes(b"<!DOCTYPE html><title>404 Not Found</title>")


def _empty(folder: Path) -> None:
    (folder / DETECTOR).write_bytes(b"")


def _removed(folder: Path) -> None:
    (folder / DETECTOR).unlink()


def _an_embedder(folder: Path) -> None:
    nets.arcface(folder / DETECTOR)


def _a_detector(folder: Path) -> None:
    nets.scrfd_flattened(folder / EMBEDDER)


def _other_levels(folder: Path) -> None:
    nets.yunet(folder / DETECTOR)


def _five_numbers_a_box(folder: Path) -> None:
    nets.scrfd_flattened(folder / DETECTOR, box_columns=5)


def _one_anchor(folder: Path) -> None:
    nets.scrfd_flattened(folder / DETECTOR, anchors=1)


def _other_embedding(folder: Path) -> None:
    nets.arcface(folder / EMBEDDER, size=128)


def _two_inputs(folder: Path) -> None:
    model = onnx.load(folder / EMBEDDER)
    model.graph.input.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, [1]))
    model.graph.node.append(helper.make_node("Identity", ["age"], ["unused"]))
    onnx.save(model, folder / EMBEDDER)


def _foreign_operator(folder: Path) -> None:
    model = onnx.load(folder / EMBEDDER)
    model.graph.node[-1].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    onnx.save(model, folder / EMBEDDER)


CASES: list[tuple[Callable[[Path], None], type[SourceFileError], str]] = [
    (_truncated, NotOnnx, r"det_10g\.onnx: not a whole ONNX model"),
    (_no_onnx, NotOnnx, r"det_10g\.onnx: not a whole ONNX model.*expected an ONNX file"),
    (_empty, NotOnnx, r"det_10g\.onnx: it has 0 bytes; expected scrfd_10g_bnkps"),
    (_removed, MissingFile, r"det_10g\.onnx: there is no such file; expected scrfd_10g_bnkps.*[^.]\.$"),
    (_an_embedder, WrongLayout, r"det_10g\.onnx: 1 outputs.*expected SCRFD's 9: scores, boxes and landmarks"),
    (_a_detector, WrongLayout, r"w600k_r50\.onnx: 9 outputs; expected one output, the embedding"),
    (_other_levels, WrongLayout, r"det_10g\.onnx: 12 outputs \(cls_8.*expected SCRFD's 9"),
    (_five_numbers_a_box, WrongLayout, r"det_10g\.onnx: output '449' has rows of 5; expected rows of 4"),
    (_one_anchor, WrongLayout, r"det_10g\.onnx: output '446' is \[3840, 1\]; expected 7680 rows of 1"),
    (_other_embedding, WrongLayout, r"w600k_r50\.onnx: the output '683' is \[\?,128\]; expected an embedding of 512"),
    (_two_inputs, WrongLayout, r"w600k_r50\.onnx: 2 inputs \(input\.1, age\); expected one float input"),
    (_foreign_operator, WrongLayout, r"w600k_r50\.onnx: it uses operators outside ONNX \(BatchNormalization\)"),
]


@pytest.mark.parametrize(("spoil", "error", "message"), CASES, ids=[case[0].__name__.strip("_") for case in CASES])
def test_an_unfit_file_is_named_with_what_is_expected(
    spoil: Callable[[Path], None], error: type[SourceFileError], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    nets.write_pack("buffalo_l", folder)
    spoil(folder)
    with pytest.raises(error, match=message):
        api.export_pack("buffalo_l", folder, "production", tmp_path / "out", sha256s=nets.sums(folder))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", [0, 5000, -1])
def test_one_changed_byte_is_refused_by_the_sum(change: int, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    sums = nets.write_pack("buffalo_l", folder)
    data = bytearray((folder / DETECTOR).read_bytes())
    data[change] ^= 1
    (folder / DETECTOR).write_bytes(data)
    with pytest.raises(ChecksumMismatch, match=rf"det_10g\.onnx.*expected scrfd_10g_bnkps, sha256 {sums[DETECTOR]}"):
        api.export_pack("buffalo_l", folder, "production", tmp_path / "out", sha256s=sums)


def test_the_catalogues_sum_counts_without_another(tmp_path: Path) -> None:
    nets.write_pack("buffalo_l", tmp_path)
    with pytest.raises(ChecksumMismatch, match="it is shorter: was its download cut off"):
        api.export_pack("buffalo_l", tmp_path, "production", tmp_path / "out")


def test_weights_with_outputs_of_nan_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    nets.write_pack("buffalo_l", folder)
    model = onnx.load(folder / EMBEDDER)
    weights = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 2)
    broken = np.full(list(weights.dims), np.nan, np.float32)
    weights.CopyFrom(onnx.numpy_helper.from_array(broken, weights.name))
    onnx.save(model, folder / EMBEDDER)
    with pytest.raises(api.ModelsError, match=r"w600k_r50\.onnx.*embedding differs by nan"):
        api.export_pack("buffalo_l", folder, "production", tmp_path / "out", sha256s=nets.sums(folder))
    assert not (tmp_path / "out").exists()
