"""Nothing accepted is lost or doubled by a death at any moment; what must go is counted."""

import datetime as dt
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigil_contracts.events import Box, CameraRef, CloseReason, Sighting, SightingState, encode_sighting
from vigil_contracts.ids import new_sighting_id
from vigil_stream.publish.journal import FILE_NAME, Journal, JournalError, Limits

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def sighting(revision: int = 1, state: SightingState = SightingState.OPENED, base: Sighting | None = None) -> Sighting:
    closed = state is SightingState.CLOSED
    return Sighting(
        sighting_id=base.sighting_id if base else new_sighting_id(NOW),
        revision=revision,
        state=state,
        site="lab",
        camera=CameraRef(namespace="default", name="door"),
        session_id="s",
        last_seen_at=NOW,
        closed_at=NOW if closed else None,
        close_reason=CloseReason.LEFT if closed else None,
        frames=1,
        box=Box(x=0, y=0, width=0.1, height=0.1),
    )


def event(one: Sighting) -> tuple[Sighting, bytes]:
    return one, encode_sighting(one, NOW)


def test_events_wait_until_they_are_acknowledged_and_counters_survive(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first = sighting()
    journal.record([event(first)], counts={"sightings_opened": 1})
    journal.record([event(sighting(2, SightingState.CLOSED, first))])
    journal.count({"frames_captured": 7})
    journal.close()

    again = Journal(tmp_path)
    batch = again.next_batch(0, 10)
    assert [entry.event_id for entry in batch] == [f"{first.sighting_id}:1", f"{first.sighting_id}:2"]
    again.acknowledged([batch[0].seq])
    assert again.pending == 1
    assert again.counters() == {
        "events_created": 2,
        "events_published": 1,
        "sightings_opened": 1,
        "frames_captured": 7,
    }


def test_open_sightings_are_known_after_a_death(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    open_one, closed_one = sighting(), sighting()
    journal.record([event(open_one), event(closed_one)])
    update = sighting(2, SightingState.UPDATED, open_one)
    journal.record([event(update), event(sighting(2, SightingState.CLOSED, closed_one))])
    # No close(): the process was killed.
    assert Journal(tmp_path).open_sightings() == [update]


def test_when_full_the_oldest_updates_go_first_and_are_counted(tmp_path: Path) -> None:
    journal = Journal(tmp_path, Limits(max_events=4))
    first = sighting()
    journal.record([event(first)])
    journal.record([event(sighting(n, SightingState.UPDATED, first)) for n in (2, 3, 4)])
    assert journal.record([event(sighting(5, SightingState.CLOSED, first))]) == 1
    left = [entry.event_id.split(":")[1] for entry in journal.next_batch(0, 10)]
    assert left == ["1", "3", "4", "5"]
    journal.record([event(sighting()), event(sighting()), event(sighting())])
    left = [entry.event_id.split(":")[1] for entry in journal.next_batch(0, 10)]
    assert left == ["5", "1", "1", "1"]
    counters = journal.counters()
    assert counters["events_created"] == counters["events_dropped"] + journal.pending


def test_the_bound_on_bytes_holds(tmp_path: Path) -> None:
    one = event(sighting())
    journal = Journal(tmp_path, Limits(max_bytes=5 * len(one[1])))
    for _ in range(20):
        journal.record([event(sighting())])
        assert journal.pending_bytes <= 5 * len(one[1])


def test_an_event_that_arrived_after_it_was_dropped_counts_as_published(tmp_path: Path) -> None:
    journal = Journal(tmp_path, Limits(max_events=1))
    journal.record([event(sighting())])
    (under_way,) = journal.next_batch(0, 10)
    journal.record([event(sighting())])
    journal.acknowledged([under_way.seq])
    counters = journal.counters()
    assert (counters["events_published"], counters["events_dropped"], journal.pending) == (1, 0, 1)


def test_a_failed_write_writes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    one = event(sighting())
    journal.record([one])
    with pytest.raises(JournalError, match="free space"):
        journal.record([event(sighting()), one])
    assert journal.pending == 1
    assert journal.counters()["events_created"] == 1
    journal.record([event(sighting())])
    assert journal.pending == 2


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    with pytest.raises(JournalError, match="cannot be used"):
        Journal(blocked / "below")


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="later version"):
        Journal(tmp_path)


def test_a_checkpoint_keeps_everything(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.record([event(sighting()) for _ in range(5)])
    journal.checkpoint()
    assert len(journal.next_batch(0, 10)) == 5


acts = st.lists(st.sampled_from(["open", "update", "close", "send", "send and die before the ack", "die"]), max_size=30)


@settings(max_examples=40, deadline=None)
@given(acts)
def test_what_the_bus_has_is_what_was_created_whenever_the_process_dies(acts: list[str]) -> None:
    """The bus knows duplicates by id; what it holds in the end is exactly what was recorded; so say the counters."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        bus: set[str] = set()
        recorded: set[str] = set()
        opened: list[Sighting] = []
        for act in acts:
            if act == "open":
                opened.append(sighting())
            elif act in {"update", "close"} and opened:
                before = opened.pop(0)
                state = SightingState.UPDATED if act == "update" else SightingState.CLOSED
                opened.append(sighting(before.revision + 1, state, before))
            if act in {"open", "update", "close"} and opened:
                journal.record([event(opened[-1])])
                recorded.add(opened[-1].event_id)
                if opened[-1].state is SightingState.CLOSED:
                    opened.pop()
            if act.startswith("send"):
                batch = journal.next_batch(0, 3)
                bus |= {entry.event_id for entry in batch}
                if act == "send":
                    journal.acknowledged([entry.seq for entry in batch])
            if act.endswith(("die", "the ack")):
                journal = Journal(Path(folder))
        while batch := journal.next_batch(0, 64):
            bus |= {entry.event_id for entry in batch}
            journal.acknowledged([entry.seq for entry in batch])
        counters = journal.counters()
        assert bus == recorded
        assert counters.get("events_created", 0) == counters.get("events_published", 0) == len(recorded)
        assert {one.event_id for one in journal.open_sightings()} == {one.event_id for one in opened}
