"""Real weights, those of `../shared` and the open pack, are exported, proven on photos, and refused when tampered."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.shared import missing, shared

from vigil_models import api
from vigil_models.errors import ChecksumMismatch, FetchError
from vigil_models.proof import reference
from vigil_vision.detection import parse, suppress
from vigil_vision.faces.alignment import align
from vigil_vision.letterbox import fit
from vigil_vision.photos import decode_photo, scale_into

PACKS = ["open", "scrfd-mobilefacenet-test", "scrfd500m-mobilefacenet-test", "yunet-mobilefacenet-test"]
PEOPLE = ["alex-lacamoire", "barack-obama", "joe-biden", "kit-harington", "lin-manuel-miranda", "rose-leslie"]


def _sources(pack: str) -> Path:
    if pack != "open":
        return shared("models")
    try:
        return api.ensure_pack("open", accept_licence=True)
    except FetchError as error:
        missing(f"the open pack ({error})")


def _photo_files(person: str) -> list[Path]:
    return sorted(
        path for path in shared(f"faces/{person}").iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"}
    )


@pytest.mark.parametrize("pack", PACKS)
def test_real_weights_are_proven_on_photos(pack: str, tmp_path: Path) -> None:
    photos = {person: decode_photo(_photo_files(person)[0].read_bytes()) for person in PEOPLE[:2]}
    manifest = api.export_pack(pack, _sources(pack), "cpu-python", tmp_path / "out", photos=photos)
    for model in manifest.models:
        assert {row.against for row in model.proofs} == {"original", "one by one"}
        assert any(row.case.startswith("barack-obama") for row in model.proofs)
        alike = [row.largest for row in model.proofs if row.against == "one by one"]
        assert max(alike) <= 1e-4
    assert api.verify_repository(tmp_path / "out") == manifest


@pytest.mark.parametrize("pack", PACKS)
def test_the_calibrated_threshold_separates_people(pack: str, tmp_path: Path) -> None:
    manifest = api.export_pack(pack, _sources(pack), "production", tmp_path / "out")
    detector, embedder = (
        reference.session((tmp_path / "out" / name / "1" / "model.onnx").read_bytes())
        for name in ("face_detection", "face_recognition")
    )
    enroll = int(manifest.models[0].parameters["enrol_score_threshold_permille"]) / 1000
    overlap = int(manifest.models[0].parameters["nms_iou_permille"]) / 1000
    threshold = int(manifest.models[1].parameters["match_threshold_permille"]) / 1000
    names, embeddings = [], []
    for person in PEOPLE:
        for path in _photo_files(person):
            crop = _only_face(detector, decode_photo(path.read_bytes()), enroll, overlap)
            embeddings.append(embedder.run(None, {"face": crop})[0][0])
            names.append(person)
    similar = np.array(embeddings) @ np.array(embeddings).T
    same = np.array(names)[:, None] == np.array(names)
    different = float(similar[~same].max())
    assert different < threshold, f"two people reach {different:.3f}"
    alone = same & ~np.eye(len(names), dtype=bool)
    if alone.any():
        assert float(similar[alone].min()) > threshold


def _only_face(detector: object, photo: NDArray[np.uint8], score_threshold: float, overlap: float) -> NDArray[np.uint8]:
    box = fit(photo.shape[1], photo.shape[0], 640, 640)
    rows = detector.run(None, {"image": scale_into(photo, box)[None]})[0][0]  # type: ignore[attr-defined]
    faces = suppress(parse(rows, score_threshold), overlap)
    assert len(faces) == 1
    return align(photo, box.to_source(faces.landmarks))


@pytest.mark.parametrize("name", ["scrfd_2.5g_bnkps.onnx", "mobilefacenet_arcface.onnx"])
def test_one_changed_byte_of_real_weights_is_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(shared("models"), folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ChecksumMismatch, match=f"{name}.*{hashlib.sha256(data).hexdigest()}"):
        api.export_pack("scrfd-mobilefacenet-test", folder, "cpu-python", tmp_path / "out")
    assert not (tmp_path / "out").exists()
