"""A face keeps its track while it is plausibly the same, and two people never share one at the same time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil_stream.pipeline.tracker import LOST_AFTER_S, STALE_AFTER_S, Tracker

Box = tuple[float, float, float, float]


def box(x: float, y: float, size: float = 80) -> Box:
    return (x, y, x + size, y + size * 1.3)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("stands", [(100, 100, 80)] * 6),
        ("walks by its own width", [(100 + 70 * n, 100, 80) for n in range(8)]),
        ("comes nearer", [(300 - 6 * n, 100 - 5 * n, 60 * 1.15**n) for n in range(8)]),
        ("trembles", [(100 + 5 * (-1) ** n, 100 - 4 * (-1) ** n, 80 + n % 3) for n in range(10)]),
    ],
)
def test_one_person_is_one_track(name: str, path: list[tuple[float, float, float]]) -> None:
    tracker = Tracker()
    ids = {tracker.update([box(*place)], n * 0.2).assigned[0].track_id for n, place in enumerate(path)}
    assert len(ids) == 1, name


@pytest.mark.parametrize(
    ("name", "second"),
    [("on the other side", box(500, 100)), ("three times as large", box(60, 60, 240)), ("far below", box(100, 420))],
)
def test_another_person_is_another_track(name: str, second: Box) -> None:
    tracker = Tracker()
    tracker.update([box(100, 100)], 0.0)
    first = tracker.update([box(100, 100)], 0.2).assigned[0]
    assert tracker.update([second], 0.4).assigned[0] is not first, name


def test_two_people_who_pass_each_other_keep_their_tracks() -> None:
    tracker = Tracker()
    ids = []
    for n in range(9):
        left, right = box(100 + 50 * n, 100), box(500 - 50 * n, 180)
        update = tracker.update([left, right], n * 0.2)
        ids.append([track.track_id for track in update.assigned])
    assert ids[0] == ids[-1]


def test_a_track_is_lost_after_its_time_and_not_before() -> None:
    tracker = Tracker()
    track = tracker.update([box(100, 100)], 0.0).assigned[0]
    assert tracker.update([], LOST_AFTER_S - 0.1).lost == []
    assert tracker.update([], LOST_AFTER_S + 0.1).lost == [track]
    assert tracker.tracks == ()


def test_a_face_that_comes_back_in_time_is_the_same_but_doubted() -> None:
    tracker = Tracker()
    for n in range(3):
        track = tracker.update([box(100, 100)], n * 0.2).assigned[0]
    assert track.doubts == 0
    again = tracker.update([box(105, 100)], 1.6).assigned[0]
    assert again is track
    assert again.doubts == 1


def patch(*values: float) -> np.ndarray:
    row = np.array(values, np.float32)
    return row[None] / np.linalg.norm(row)


SHARP, ALIKE, UNLIKE = patch(1, 0, 0), patch(1, 0.3, 0), patch(0.3, 1, 0)


@pytest.mark.parametrize(
    ("name", "boxes", "patches", "at", "doubted"),
    [
        ("it stays", [box(102, 100)], ALIKE, 0.4, False),
        ("it walks", [box(140, 100)], ALIKE, 0.4, False),
        ("another face is in its place", [box(102, 100)], UNLIKE, 0.4, True),
        ("it jumps", [box(180, 100)], ALIKE, 0.4, True),
        ("it is half as large again", [box(90, 90, 120)], ALIKE, 0.4, True),
        ("a frame without it lies between", [box(100, 100)], SHARP, 0.6, True),
        ("the next frame comes late", [box(100, 100)], SHARP, 1.0, True),
        ("another face is as near", [box(100, 100), box(110, 100)], np.concatenate([ALIKE, ALIKE]), 0.4, True),
        ("another face is far", [box(100, 100), box(300, 100)], np.concatenate([ALIKE, ALIKE]), 0.4, False),
    ],
)
def test_whatever_could_be_another_face_raises_a_doubt(
    name: str, boxes: list[Box], patches: np.ndarray, at: float, doubted: bool
) -> None:
    tracker = Tracker()
    for n in range(2):
        track = tracker.update([box(100, 100)], n * 0.2, SHARP).assigned[0]
    if at == 0.6:
        tracker.update([], 0.4, np.empty((0, 3), np.float32))
    assert tracker.update(boxes, at, patches).assigned[0] is track, name
    assert (track.doubts == 1) is doubted, name


def test_two_who_might_have_changed_places_are_both_doubted() -> None:
    tracker = Tracker()
    first, second = tracker.update([box(100, 100), box(140, 100)], 0.0).assigned
    tracker.update([box(110, 100), box(125, 100)], 0.2)
    assert first.doubts == second.doubts == 1


def test_faces_that_meet_are_paired_by_their_patches() -> None:
    tracker = Tracker()
    both = np.concatenate([SHARP, UNLIKE])
    first, second = tracker.update([box(100, 100), box(150, 100)], 0.0, both).assigned
    assert tracker.update([box(120, 100), box(130, 100)], 0.2, both[::-1]).assigned == [second, first]


def test_a_still_person_is_not_lost_while_nothing_moves() -> None:
    tracker = Tracker()
    track = tracker.update([box(100, 100)], 0.0).assigned[0]
    for n in range(1, 50):
        tracker.keep_still(n * 0.2)
    assert tracker.update([], 10.0).lost == []
    assert track.last_seen == pytest.approx(9.8)


def test_a_still_scene_does_not_keep_a_track_that_had_gone() -> None:
    tracker = Tracker()
    track = tracker.update([box(100, 100)], 0.0).assigned[0]
    tracker.update([], 0.2)
    for n in range(2, 12):
        tracker.keep_still(n * 0.2)
    assert tracker.update([], 2.4).lost == [track]


def test_without_frames_tracks_become_stale() -> None:
    tracker = Tracker()
    track = tracker.update([box(100, 100)], 0.0).assigned[0]
    assert tracker.take_stale(STALE_AFTER_S - 1) == []
    assert tracker.take_stale(STALE_AFTER_S + 1) == [track]


def test_a_change_of_resolution_does_not_break_tracks() -> None:
    tracker = Tracker()
    tracker.update([box(100, 100)], 0.0)
    track = tracker.update([box(110, 100)], 0.2).assigned[0]
    tracker.rescale(3, 3)
    assert tracker.update([tuple(3 * side for side in box(120, 100))], 0.4).assigned[0] is track  # type: ignore[list-item]


faces = st.tuples(st.floats(-50, 600), st.floats(-50, 350), st.floats(10, 200)).map(lambda f: box(*f))


@given(st.lists(st.tuples(st.lists(faces, max_size=6), st.floats(0.01, 3)), max_size=25))
def test_tracks_stay_sound_whatever_is_seen(frames: list[tuple[list[Box], float]]) -> None:
    tracker, at = Tracker(), 0.0
    born: set[int] = set()
    gone: set[int] = set()
    for boxes, gap in frames:
        at += gap
        update = tracker.update(boxes, at)
        ids = [track.track_id for track in update.assigned]
        assert len(ids) == len(boxes) == len(set(ids)), "each face has one track, and no two share it"
        assert all(track.box == seen for track, seen in zip(update.assigned, boxes, strict=True))
        born |= set(ids)
        lost = {track.track_id for track in update.lost}
        assert not lost & set(ids)
        assert not lost & gone, "a track is lost once"
        gone |= lost
        assert {track.track_id for track in tracker.tracks} == born - gone
        assert all(at - track.last_seen <= LOST_AFTER_S for track in tracker.tracks)
