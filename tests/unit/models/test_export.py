"""Every layout is exported so that it equals its original, image by image and in a batch."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.unit.models import nets

from vigil_models import api
from vigil_models.catalogue import Detector, load
from vigil_models.errors import ProofFailed, RepositoryError, WrongLayout
from vigil_models.export import build
from vigil_models.graph.builder import IR_VERSION, OPSET
from vigil_models.graph.source import inspect, sha256_of
from vigil_models.proof import inputs, reference
from vigil_models.proof.prove import prove, row_difference

LAYOUTS = [
    ("scrfd_10g_bnkps", nets.scrfd_flattened),
    ("scrfd_500m_bnkps", nets.scrfd_flattened),
    ("scrfd_500m_kps", nets.scrfd_levels),
    ("yunet_2023mar_int8bq", nets.yunet),
    ("w600k_r50", nets.arcface),
    ("glintr100", lambda path: nets.arcface(path, final="1333")),
    ("w600k_mbf", nets.mobilefacenet),
]


@pytest.mark.parametrize(("name", "make"), LAYOUTS, ids=[name for name, _ in LAYOUTS])
def test_every_layout_equals_its_original_alone_and_in_a_batch(
    name: str, make: Callable[[Path], Path], tmp_path: Path
) -> None:
    model = nets.entry(name)
    path = make(tmp_path / model.file)
    source = inspect(path, path.read_bytes(), sha256_of(path))
    exported = build(model, source)
    onnx.checker.check_model(exported, full_check=True)
    differences = prove(model, source, exported, {})
    assert {each.against for each in differences} == {"original", "one by one"}
    assert all(each.within for each in differences)
    assert (exported.opset_import[0].version, exported.ir_version) == (OPSET, IR_VERSION)


def test_an_image_with_few_anchors_is_padded_with_zeros(tmp_path: Path) -> None:
    """An image with fewer anchors than rows is padded with rows of zeros."""
    model = nets.entry("scrfd_10g_bnkps")
    path = nets.scrfd_flattened(tmp_path / model.file)
    session = reference.session(build(model, inspect(path, path.read_bytes(), "")).SerializeToString())
    rows = session.run(None, {"image": inputs.noise(32, 32, 0)[None]})[0][0]
    anchors = 2 * (16 + 4 + 1)
    assert rows.shape == (128, 15)
    assert (rows[:anchors, 4] > 0).all()
    assert not rows[anchors:].any()
    assert (np.diff(rows[:, 4]) <= 0).all()


def test_embeddings_have_length_one_even_of_a_black_face(tmp_path: Path) -> None:
    model = nets.entry("w600k_r50")
    path = nets.arcface(tmp_path / model.file)
    session = reference.session(build(model, inspect(path, path.read_bytes(), "")).SerializeToString())
    faces = np.stack([inputs.noise(112, 112, 1), np.zeros((112, 112, 3), np.uint8)])
    embeddings = session.run(None, {"face": faces})[0]
    assert embeddings.shape == (2, 512)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)


def _batch_merely_renamed(path: Path) -> onnx.ModelProto:
    """Make the mistake that `heads` avoids: rows flattened over the batch, so that those of two images interleave."""
    model = nets.entry("scrfd_10g_bnkps")
    exported = build(model, inspect(path, path.read_bytes(), ""))
    graph = exported.graph
    lengths = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer if t.data_type == TensorProto.INT64}
    transposed = set()
    for node in graph.node:
        if node.op_type == "Transpose" and node.name.startswith("vigil/decode"):
            node.attribute[0].ints[:] = [2, 3, 0, 1]
            transposed.add(node.output[0])
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "first"))
    new = [helper.make_node("Shape", ["image"], ["dims"]), helper.make_node("Gather", ["dims", "first"], ["count"])]
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[0] in transposed:
            rest, shape = f"rest/{node.name}", f"shape/{node.name}"
            graph.initializer.append(onnx.numpy_helper.from_array(lengths[node.input[1]][1:], rest))
            new.append(helper.make_node("Concat", ["count", rest], [shape], axis=0))
            node.input[1] = shape
    nodes = [*new, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return exported


def _one_weight_changed(path: Path) -> onnx.ModelProto:
    model = nets.entry("scrfd_10g_bnkps")
    exported = build(model, inspect(path, path.read_bytes(), ""))
    tensor = next(each for each in exported.graph.initializer if len(each.dims) == 4)
    weights = onnx.numpy_helper.to_array(tensor).copy()
    weights.flat[0] += 0.01
    tensor.CopyFrom(onnx.numpy_helper.from_array(weights, tensor.name))
    return exported


def _cannot_be_opened(path: Path) -> onnx.ModelProto:
    exported = build(nets.entry("scrfd_10g_bnkps"), inspect(path, path.read_bytes(), ""))
    exported.graph.node[0].input[0] = "nothing"
    return exported


def _fails_when_run(path: Path) -> onnx.ModelProto:
    exported = build(nets.entry("scrfd_10g_bnkps"), inspect(path, path.read_bytes(), ""))
    exported.graph.initializer.append(onnx.numpy_helper.from_array(np.array([7, 7]), "odd"))
    reshape = next(node for node in exported.graph.node if node.op_type == "Reshape")
    reshape.input[1] = "odd"
    return exported


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_cannot_be_opened, r"det_10g\.onnx: the exported graph cannot be opened"),
        (_fails_when_run, r"det_10g\.onnx: the original or the exported graph does not run at 640x384"),
        (_batch_merely_renamed, r"det_10g\.onnx.*nothing was written.*batch of 2 640x384 against one by one"),
        (_one_weight_changed, r"det_10g\.onnx.*noise 640x384 against original: pixels differs"),
    ],
)
def test_a_graph_that_differs_is_refused_with_the_differences(
    spoil: Callable[[Path], onnx.ModelProto], message: str, tmp_path: Path
) -> None:
    model = nets.entry("scrfd_10g_bnkps")
    path = nets.scrfd_flattened(tmp_path / model.file)
    source = inspect(path, path.read_bytes(), "")
    with pytest.raises(ProofFailed, match=message):
        prove(model, source, spoil(path), {})


def _rows(*scores: float) -> np.ndarray:
    rows = np.zeros((4, 15))
    for index, score in enumerate(scores):
        rows[index] = index * 100 + np.arange(15)
        rows[index, 4] = score
    return rows


@pytest.mark.parametrize(
    ("got", "expected", "equal"),
    [
        (_rows(0.9, 0.5), _rows(0.9, 0.5), True),
        (_rows(0.9, 0.50001)[[0, 1, 2, 3]], _rows(0.9, 0.5), True),
        (_rows(0.5, 0.9)[[1, 0, 2, 3]], _rows(0.5, 0.9), True),
        (_rows(0.9), _rows(0.9, 0.5), False),
        (_rows(0.9, 0.5), _rows(0.9), False),
        (_rows(0.9, 0.9)[[0, 0, 2, 3]], _rows(0.9, 0.9), False),
        (_rows(0.9, np.nan), _rows(0.9, 0.5), False),
        (_rows(0.9, 0.4), _rows(0.9, 0.5), False),
    ],
    ids=["same", "rounding", "any order", "one missing", "one too many", "one twice", "not a number", "other score"],
)
def test_rows_are_compared_as_a_set(got: np.ndarray, expected: np.ndarray, equal: bool) -> None:
    score, pixels = row_difference(got, expected)
    assert (score <= 1e-4 and pixels <= 0.02) is equal


@pytest.mark.parametrize("pack", ["buffalo_l", "buffalo_s", "antelopev2"])
@pytest.mark.parametrize("target", list(api.Target))
def test_packs_of_insightface_layouts_are_exported_whole(pack: str, target: api.Target, tmp_path: Path) -> None:
    sums = nets.write_pack(pack, tmp_path / "in")
    out = tmp_path / "out"
    manifest = api.export_pack(pack, tmp_path / "in", target, out, sha256s=sums, instances=2)
    detector, embedder = manifest.models
    assert detector.model_id == f"{load().pack(pack).detector.name}@{sums[load().pack(pack).detector.file][:12]}"
    assert embedder.parameters["embedding_size"] == "512"
    assert (out / "face_detection/1/model.py").exists() is (target is api.Target.CPU_PYTHON)
    assert json.loads((out / "manifest.json").read_text())["models"][0]["proofs"]
    assert api.verify_repository(out) == manifest


def test_nothing_is_left_when_the_second_model_is_refused(tmp_path: Path) -> None:
    nets.write_pack("buffalo_l", tmp_path / "in")
    nets.arcface(tmp_path / "in" / "w600k_r50.onnx", size=256)
    with pytest.raises(WrongLayout, match=r"w600k_r50\.onnx.*\[\?,256\].*512"):
        api.export_pack(
            "buffalo_l", tmp_path / "in", "production", tmp_path / "out", sha256s=nets.sums(tmp_path / "in")
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_only_an_earlier_export_is_replaced(tmp_path: Path) -> None:
    """An earlier export is replaced; any other folder stays unchanged."""
    sums = nets.write_pack("buffalo_s", tmp_path / "in")
    out = tmp_path / "out"
    api.export_pack("buffalo_s", tmp_path / "in", "cpu-python", out, sha256s=sums)
    api.export_pack("buffalo_s", tmp_path / "in", "production", out, sha256s=sums)
    assert not (out / "face_detection/1/model.py").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not lose me")
    with pytest.raises(RepositoryError, match=r"mine.*no export"):
        api.export_pack("buffalo_s", tmp_path / "in", "production", tmp_path / "mine", sha256s=sums)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "do not lose me"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda out: (out / "face_detection/1/model.onnx").unlink(), "face_detection/1/model.onnx is missing"),
        (
            lambda out: (out / "face_recognition/config.pbtxt").write_text("x"),
            "face_recognition/config.pbtxt was changed",
        ),
        (lambda out: (out / "manifest.json").unlink(), "manifest.json: cannot be read"),
        (lambda out: (out / "manifest.json").write_text('{"pack": 3}'), "manifest.json: not a manifest"),
    ],
    ids=["missing", "changed", "no manifest", "other manifest"],
)
def test_verify_names_every_defect(spoil: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    sums = nets.write_pack("buffalo_s", tmp_path / "in")
    api.export_pack("buffalo_s", tmp_path / "in", "production", tmp_path / "out", sha256s=sums)
    spoil(tmp_path / "out")
    with pytest.raises(RepositoryError, match=message):
        api.verify_repository(tmp_path / "out")


def test_photos_are_part_of_the_proof(tmp_path: Path) -> None:
    sums = nets.write_pack("buffalo_s", tmp_path / "in")
    photo = inputs.scene(500, 700, 9)
    manifest = api.export_pack(
        "buffalo_s", tmp_path / "in", "production", tmp_path / "out", sha256s=sums, photos={"group.jpg": photo}
    )
    detector = load().models[manifest.models[0].catalogue_entry]
    assert isinstance(detector, Detector)
    assert any(row.case == "group.jpg 640x384" for row in manifest.models[0].proofs)
    assert any(row.case == "batch of 3 112x112" for row in manifest.models[1].proofs)


def test_a_destination_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    sums = nets.write_pack("buffalo_s", tmp_path / "in")
    (tmp_path / "file").write_text("in the way")
    for destination in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(RepositoryError, match=f"{destination}: (is not a folder|cannot be written)"):
            api.export_pack("buffalo_s", tmp_path / "in", "production", destination, sha256s=sums)
    assert (tmp_path / "file").read_text() == "in the way"
