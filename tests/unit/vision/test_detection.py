from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from vigil_vision import detection, letterbox
from vigil_vision.detection import Detections


def row(x1: float, y1: float, x2: float, y2: float, score: float) -> list[float]:
    return [x1, y1, x2, y2, score, *range(10)]


def rows(*faces: list[float]) -> NDArray[np.float32]:
    return np.array(faces, np.float32).reshape(-1, 15)


@st.composite
def faces(draw: st.DrawFn) -> Detections:
    count = draw(st.integers(0, 24))
    corners = draw(hnp.arrays(np.float32, (count, 2), elements=st.floats(0, 500, width=32)))
    sizes = draw(hnp.arrays(np.float32, (count, 2), elements=st.floats(1, 200, width=32)))
    scores = draw(hnp.arrays(np.float32, count, elements=st.floats(0.125, 1, width=32)))
    return Detections(np.hstack([corners, corners + sizes]), scores, np.zeros((count, 5, 2), np.float32))


@st.composite
def objects(draw: st.DrawFn) -> Detections:
    """Make detections in which every column holds the number of the detection."""
    plain = draw(faces())
    count = len(plain)
    ids = np.arange(count)
    return replace(
        plain,
        landmarks=np.broadcast_to(ids[:, None, None], (count, 5, 2)).astype(np.float32),
        class_id=ids.astype(np.int32) % 3,
        data={"id": ids, "name": np.array([f"object {one}" for one in ids], np.object_)},
    )


def check_columns(kept: Detections, source: Detections) -> None:
    """Check that each row of each column is still that of one detection."""
    ids = kept.data["id"]
    assert source.class_id is not None
    assert kept.class_id is not None
    np.testing.assert_array_equal(kept.boxes, source.boxes[ids])
    np.testing.assert_array_equal(kept.scores, source.scores[ids])
    np.testing.assert_array_equal(kept.landmarks, source.landmarks[ids])
    np.testing.assert_array_equal(kept.class_id, source.class_id[ids])
    assert kept.class_id.dtype == np.int32
    assert kept.data["name"].tolist() == source.data["name"][ids].tolist()


@pytest.mark.parametrize(
    ("answer", "threshold", "scores"),
    [
        (rows(), 0.5, []),
        (rows(row(0, 0, 9, 9, 0.9), row(0, 0, 9, 9, 0.4)), 0.5, [0.9]),
        (rows(row(0, 0, 9, 9, 0.5)), 0.5, [0.5]),
        (rows(row(0, 0, 0, 0, 0.0), row(0, 0, 9, 9, 0.0)), 0.0, []),
        (rows(row(0, 0, 9, 9, np.nan), row(np.nan, 0, 9, 9, 0.9), row(0, 0, np.inf, 9, 0.8)), 0.1, []),
        (rows(row(9, 0, 9, 9, 0.9), row(9, 0, 2, 9, 0.9)), 0.1, []),
        (rows(row(0, 0, 9, 9, 0.6), row(0, 0, 9, 9, 0.8)), 0.1, [0.8, 0.6]),
        (rows([0, 0, 9, 9, 0.9, *[4] * 10], row(0, 0, 9, 9, 0.8)), 0.1, [0.8]),
    ],
    ids=["none", "weak", "at the threshold", "padding", "not finite", "empty boxes", "unsorted", "one landmark"],
)
def test_rows_become_faces(answer: NDArray[np.float32], threshold: float, scores: list[float]) -> None:
    found = detection.parse(answer, threshold)
    np.testing.assert_allclose(found.scores, scores)
    assert found.boxes.shape == (len(scores), 4)
    assert found.landmarks.shape == (len(scores), 5, 2)
    assert found.boxes.dtype == found.scores.dtype == found.landmarks.dtype == np.float32


@pytest.mark.parametrize("shape", [(15,), (3, 14), (1, 3, 15)])
def test_rows_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[K,15\] is expected"):
        detection.parse(np.zeros(shape, np.float32), 0.5)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 10, 10], [0, 0, 10, 10], 1),
        ([0, 0, 10, 10], [10, 0, 20, 10], 0),
        ([0, 0, 10, 10], [5, 0, 15, 10], 1 / 3),
        ([0, 0, 10, 10], [2, 2, 4, 4], 0.04),
        ([0, 0, 0, 0], [0, 0, 0, 0], 0),
    ],
)
def test_intersection_over_union(a: list[float], b: list[float], expected: float) -> None:
    result = detection.intersection_over_union(np.array([a], np.float32), np.array([b], np.float32))
    assert result.item() == pytest.approx(expected)


def test_a_chain_of_overlaps_keeps_both_ends() -> None:
    chain = detection.parse(rows(row(0, 0, 10, 10, 0.9), row(4, 0, 14, 10, 0.8), row(8, 0, 18, 10, 0.7)), 0.1)
    np.testing.assert_allclose(detection.suppress(chain, 0.3).scores, [0.9, 0.7])


@given(faces(), st.floats(0, 1))
def test_what_is_left_does_not_overlap_and_what_is_gone_did(found: Detections, threshold: float) -> None:
    kept = detection.suppress(found, threshold)
    overlaps = detection.intersection_over_union(kept.boxes, kept.boxes)
    np.fill_diagonal(overlaps, 0)
    assert (overlaps <= threshold).all()
    assert (np.diff(kept.scores) <= 0).all()
    to_kept = detection.intersection_over_union(found.boxes, kept.boxes)
    present = (found.boxes[:, None] == kept.boxes[None]).all(axis=2).any(axis=1) if len(kept) else np.ones(0, bool)
    for face in np.flatnonzero(~present):
        better = kept.scores >= found.scores[face]
        assert (to_kept[face][better] > threshold).any()


@given(faces(), st.floats(0, 1))
def test_suppressing_twice_changes_nothing(found: Detections, threshold: float) -> None:
    once = detection.suppress(found, threshold)
    twice = detection.suppress(once, threshold)
    np.testing.assert_array_equal(once.boxes, twice.boxes)


def test_decoded_rows_are_in_source_pixels() -> None:
    box = letterbox.fit(1280, 720, 640, 640)
    answer = rows(row(100, 50, 200, 150, 0.9), row(102, 50, 202, 150, 0.8), row(300, 50, 310, 60, 0.4))
    found = detection.decode(answer, box, score_threshold=0.5, iou_threshold=0.4)
    np.testing.assert_allclose(found.boxes, [[200, 100, 400, 300]])
    np.testing.assert_allclose(found.landmarks[0, 1], [4, 6])


def test_faces_can_be_walked_one_by_one() -> None:
    found = detection.parse(rows(row(0, 0, 9, 9, 0.9), row(20, 0, 29, 9, 0.8)), 0.1)
    assert [len(face) for face in found] == [1, 1]
    assert [float(face.scores[0]) for face in found] == pytest.approx([0.9, 0.8])


@given(objects(), st.data())
def test_select_keeps_all_columns_aligned(found: Detections, data: st.DataObject) -> None:
    mask = data.draw(hnp.arrays(np.bool_, len(found)))
    order = np.array(data.draw(st.permutations(range(len(found)))), np.intp)
    start = data.draw(st.integers(0, len(found)))
    for which, ids in (
        (mask, np.flatnonzero(mask)),
        (order, order),
        (slice(start, None), np.arange(len(found))[start:]),
    ):
        kept = found.select(which)
        np.testing.assert_array_equal(kept.data["id"], ids)
        check_columns(kept, found)
    assert [one.data["id"].item() for one in found] == list(range(len(found)))


@given(objects(), st.floats(0, 1))
def test_suppressing_keeps_all_columns_aligned(found: Detections, threshold: float) -> None:
    check_columns(detection.suppress(found, threshold), found)


def test_boxes_of_two_classes_do_not_suppress_each_other() -> None:
    found = detection.parse(rows(row(0, 0, 10, 10, 0.9), row(0, 0, 10, 10, 0.8), row(0, 0, 10, 10, 0.7)), 0.1)
    classes = replace(found, class_id=np.array([1, 2, 1], np.int32))
    np.testing.assert_allclose(detection.suppress(classes, 0.3).scores, [0.9, 0.8])


@pytest.mark.parametrize(
    "columns",
    [
        {"boxes": np.zeros((1, 4), np.float32)},
        {"class_id": np.zeros(3, np.int32)},
        {"data": {"label": np.array(["a", "b", "c"])}},
    ],
    ids=["boxes", "class", "data"],
)
def test_columns_of_unequal_length_are_refused(columns: dict[str, Any]) -> None:
    found = detection.parse(rows(row(0, 0, 10, 10, 0.9), row(0, 0, 20, 20, 0.8)), 0.1)
    with pytest.raises(ValueError, match="do not belong to 2 detections"):
        replace(found, **columns)
