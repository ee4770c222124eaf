"""The catalogue is consistent and complete."""

import hashlib
from copy import deepcopy
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from vigil_models import catalogue
from vigil_models.catalogue import Catalogue, Detector
from vigil_models.errors import CatalogueError

KNOWN = catalogue.load()


@pytest.mark.parametrize("name", KNOWN.models)
def test_every_model_has_a_description_and_a_licence(name: str) -> None:
    model = KNOWN.models[name]
    licence = KNOWN.licences[model.licence]
    assert model.description
    assert model.calibration
    assert licence.address.startswith("https://")
    assert model.sha256 is not None
    assert not licence.commercial_use or licence.full_text()


@pytest.mark.parametrize(
    ("licence", "sha256"),
    [
        ("yunet-mit", "c83b8120c50ccbd4c4f96edf53141bdd566ebb8f8e9227e415326aa1b1aba958"),
        ("sface-apache", "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"),
    ],
)
def test_the_default_packs_licences_equal_opencv_zoos(licence: str, sha256: str) -> None:
    """The licences of the default pack equal those of OpenCV Zoo to the byte."""
    text = KNOWN.licences[licence].full_text()
    assert text is not None
    assert hashlib.sha256(text.encode()).hexdigest() == sha256


def test_files_of_all_models_have_different_names() -> None:
    files = [model.file for model in KNOWN.models.values()]
    assert len(files) == len(set(files))
    assert all(file == PurePosixPath(file).name for file in files)


def test_only_the_default_pack_allows_commercial_use() -> None:
    """The default pack allows commercial use; InsightFace's packs do not."""
    use = {name: KNOWN.pack(name).commercial_use for name in KNOWN.packs}
    assert use["open"]
    assert not use["buffalo_l"]
    assert not use["buffalo_s"]
    assert not use["antelopev2"]


def test_the_licence_of_sface_has_its_open_question() -> None:
    """What is not known about SFace's training photos stands where its licence is shown."""
    notes = " ".join(licence.note for licence in KNOWN.pack("open").licences)
    assert "not documented" in notes
    assert "Shiqi Yu" in notes


@pytest.mark.parametrize("name", KNOWN.packs)
def test_thresholds_are_in_order(name: str) -> None:
    pack = KNOWN.pack(name)
    assert isinstance(pack.detector, Detector)
    assert 0 < pack.detector.score_threshold_permille < 1000
    assert 0 < pack.embedder.match_margin_permille < pack.embedder.match_threshold_permille < 1000
    assert 0 < pack.embedder.other_person_permille <= pack.embedder.same_person_permille < 1000


def test_the_error_of_an_unknown_pack_lists_the_packs() -> None:
    with pytest.raises(CatalogueError, match=r"no pack 'bufalo'.*open, buffalo_l"):
        KNOWN.pack("bufalo")


def _with(*path: str, value: object) -> dict[str, Any]:
    data = yaml.safe_load((resources.files("vigil_models") / "catalogue.yaml").read_text())
    for name, model in data["models"].items():
        model["name"] = name
    changed: dict[str, Any] = deepcopy(data)
    here = changed
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_with("models", "w600k_r50", "licence", value="mine"), "licence 'mine' is not in the catalogue"),
        (
            _with("packs", "open", "detection", value="w600k_r50"),
            "'w600k_r50' is not in the catalogue with task face_det",
        ),
        (
            _with("packs", "open", "recognition", value="nobody"),
            "'nobody' is not in the catalogue with task face_recog",
        ),
        (_with("models", "w600k_r50", "sha256", value="abc"), "should match pattern"),
        (_with("models", "w600k_r50", "colour", value="red"), "Extra inputs are not permitted"),
        (_with("models", "w600k_r50", "match_threshold_permille", value=1001), "less than or equal to 1000"),
    ],
)
def test_a_catalogue_that_contradicts_itself_is_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Catalogue.model_validate(data)
