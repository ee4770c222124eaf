"""A sighting opens once, its revisions count up, and the last of them closes it."""

import datetime as dt
import uuid

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vigil_contracts.events import Box, CameraRef, CloseReason, Sighting, SightingState
from vigil_stream.analyses.faces.sightings import KEEP_ALIVE_S, SightingTracker, closed_after_restart

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
BOX = Box(x=0.1, y=0.1, width=0.1, height=0.2)


def tracker() -> SightingTracker:
    return SightingTracker("lab", CameraRef(namespace="default", name="door"), "s1")


def at(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


def test_opened_updated_closed() -> None:
    tracked = tracker()
    tracked.see(1, at(0.2), BOX, since=at(0), frames=2)
    first = tracked.revise(1, [], None)
    tracked.see(1, at(1), BOX, since=at(0), frames=6)
    second = tracked.revise(1, [], None)
    (last,) = tracked.close(1, at(3), CloseReason.LEFT)
    assert [s.state for s in (first, second, last)] == list(SightingState)
    assert [s.revision for s in (first, second, last)] == [1, 2, 3]
    assert {s.sighting_id for s in (first, second, last)} == {first.sighting_id}
    assert first.opened_at == at(0)
    assert last.last_seen_at == at(1)
    assert last.closed_at == at(3)
    assert last.frames == 6
    assert tracked.close(1, at(4), CloseReason.LEFT) == []


def test_a_sighting_without_revision_opens_before_it_closes() -> None:
    tracked = tracker()
    tracked.see(1, at(0), BOX, since=at(0), frames=1)
    assert [s.state for s in tracked.close(1, at(1), CloseReason.CUT)] == [SightingState.OPENED, SightingState.CLOSED]


def test_a_long_one_is_kept_alive() -> None:
    tracked = tracker()
    tracked.see(1, at(0), BOX, since=at(0), frames=1)
    tracked.revise(1, [], None)
    tracked.see(1, at(KEEP_ALIVE_S - 1), BOX, since=at(0), frames=1)
    assert tracked.keep_alive() == []
    tracked.see(1, at(KEEP_ALIVE_S), BOX, since=at(0), frames=1)
    (revision,) = tracked.keep_alive()
    assert revision.state is SightingState.UPDATED
    assert revision.last_seen_at == at(KEEP_ALIVE_S)
    assert tracked.keep_alive() == []


def test_what_was_another_person_is_taken_back() -> None:
    """The next revision ends where the person was verified last, also when a later moment had been published."""
    tracked = tracker()
    tracked.see(1, at(0), BOX, since=at(0), frames=1)
    tracked.see(1, at(2), BOX, since=at(0), frames=11)
    assert tracked.revise(1, [], None).last_seen_at == at(2)
    tracked.take_back(1, at(1), BOX, 6)
    (closed,) = tracked.close(1, at(2), CloseReason.LEFT)
    assert (closed.last_seen_at, closed.frames, closed.closed_at) == (at(1), 6, at(2))


def test_an_orphan_is_closed_after_a_restart() -> None:
    tracked = tracker()
    tracked.see(1, at(0), BOX, since=at(0), frames=3)
    last = tracked.revise(1, [], None)
    closed = closed_after_restart(last, at(60))
    assert (closed.revision, closed.state, closed.close_reason) == (2, SightingState.CLOSED, CloseReason.RESTARTED)
    assert closed.last_seen_at == last.last_seen_at
    assert closed.closed_at == at(60)
    assert Sighting.model_validate_json(closed.model_dump_json(by_alias=True)) == closed


def test_a_clock_that_went_back_does_not_close_before_last_seen() -> None:
    tracked = tracker()
    tracked.see(1, at(10), BOX, since=at(10), frames=1)
    tracked.revise(1, [], None)
    (closed,) = tracked.close(1, at(5), CloseReason.LEFT)
    assert closed.closed_at == at(10)


class Sightings(RuleBasedStateMachine):
    """Whatever happens to tracks, each sighting's revisions are 1, 2, 3 … with one end."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = tracker()
        self.now = 0.0
        self.emitted: dict[uuid.UUID, list[Sighting]] = {}

    def take(self, sightings: list[Sighting]) -> None:
        for sighting in sightings:
            self.emitted.setdefault(sighting.sighting_id, []).append(sighting)

    @rule(track=st.integers(1, 4), gap=st.floats(0, 5))
    def see(self, track: int, gap: float) -> None:
        self.now += gap
        self.tracker.see(track, at(self.now), BOX, since=at(self.now), frames=1)

    @rule(track=st.integers(1, 4))
    def revise(self, track: int) -> None:
        if track in self.tracker:
            self.take([self.tracker.revise(track, [], None)])

    @rule(gap=st.floats(0, 20))
    def still(self, gap: float) -> None:
        self.now += gap
        if 1 in self.tracker:
            self.tracker.see(1, at(self.now), BOX, since=at(self.now), frames=1)
        self.take(self.tracker.keep_alive())

    @rule(track=st.integers(1, 4), reason=st.sampled_from(CloseReason))
    def close(self, track: int, reason: CloseReason) -> None:
        self.take(self.tracker.close(track, at(self.now), reason))

    @rule()
    def close_all(self) -> None:
        for track in range(1, 5):
            self.take(self.tracker.close(track, at(self.now), CloseReason.SHUTDOWN))
        assert len(self.tracker) == 0

    @invariant()
    def revisions_are_sound(self) -> None:
        for revisions in self.emitted.values():
            assert [s.revision for s in revisions] == list(range(1, len(revisions) + 1))
            assert [s.state is SightingState.OPENED for s in revisions] == [s.revision == 1 for s in revisions]
            assert all(s.state is not SightingState.CLOSED for s in revisions[:-1])
            assert sorted(s.last_seen_at for s in revisions) == [s.last_seen_at for s in revisions]


TestSightings = Sightings.TestCase
TestSightings.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("reason", list(CloseReason))
def test_every_reason_is_kept(reason: CloseReason) -> None:
    tracked = tracker()
    tracked.see(1, at(0), BOX, since=at(0), frames=1)
    assert tracked.close(1, at(1), reason)[-1].close_reason is reason
