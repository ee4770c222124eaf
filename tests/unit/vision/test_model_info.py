import pytest

from vigil_vision.faces import model_info

DETECTION = {
    "vigil_model_id": "scrfd@0123456789ab",
    "score_threshold_permille": "500",
    "enrol_score_threshold_permille": "600",
    "nms_iou_permille": "400",
    "top_k": "128",
}
RECOGNITION = {
    "vigil_model_id": "arcface@0123456789ab",
    "embedding_size": "512",
    "match_threshold_permille": "360",
    "match_margin_permille": "50",
    "same_person_permille": "480",
    "other_person_permille": "150",
    "alignment_template": "arcface_112",
}


def test_a_detector_of_any_size() -> None:
    assert model_info.detector_info(DETECTION, dims=(-1, -1, 3)) == model_info.DetectorInfo(
        "scrfd@0123456789ab", 0.5, 0.6, 0.4, 128, None, None
    )


def test_a_detector_of_one_size() -> None:
    info = model_info.detector_info(DETECTION, dims=(384, 640, 3))
    assert (info.height, info.width) == (384, 640)


def test_an_embedder() -> None:
    assert model_info.embedder_info(RECOGNITION) == model_info.EmbedderInfo(
        "arcface@0123456789ab", 512, 0.36, 0.05, same_person=0.48, other_person=0.15
    )


def test_an_embedder_of_an_earlier_exporter_has_one_limit() -> None:
    """It splits a person sooner, and joins two no more often than its calibrated threshold."""
    earlier = {key: value for key, value in RECOGNITION.items() if "person" not in key}
    info = model_info.embedder_info(earlier)
    assert (info.same_person, info.other_person) == (0.36, 0.36)


@pytest.mark.parametrize("name", DETECTION)
def test_a_missing_detector_parameter_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"parameter {name} is missing"):
        model_info.detector_info({key: value for key, value in DETECTION.items() if key != name}, dims=(-1, -1, 3))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("vigil_model_id", "arcface", "not <name>@<12 hex digits>"),
        ("embedding_size", "0", "whole number from 1"),
        ("embedding_size", "many", "whole number from 1"),
        ("match_threshold_permille", "1001", "from 0 to 1000"),
        ("match_margin_permille", "0.05", "from 0 to 1000"),
        ("alignment_template", "other", "aligns to 'arcface_112' only"),
    ],
)
def test_an_invalid_embedder_parameter_is_named(name: str, value: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        model_info.embedder_info({**RECOGNITION, name: value})


def test_a_planar_detector_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not \[H, W, 3\]"):
        model_info.detector_info(DETECTION, dims=(3, 640, 640))
