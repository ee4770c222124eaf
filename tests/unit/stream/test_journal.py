"""Nothing accepted is lost or doubled by a death at any moment; what must go is counted."""

import asyncio
import contextlib
import datetime as dt
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.waiting import eventually
from tests.unit.stream.observing import Recorder

from vigil_contracts.bus import MessageKind
from vigil_contracts.events import Box, CameraRef, CloseReason, Sighting, SightingState
from vigil_contracts.ids import new_sighting_id
from vigil_stream.analyses.faces.events import sighting_event
from vigil_stream.counters import Counters
from vigil_stream.journal_writer import JournalWriter
from vigil_stream.publish.event import OutgoingEvent
from vigil_stream.publish.journal import (
    DAMAGED_NAME,
    FILE_NAME,
    Journal,
    JournalError,
    Limits,
    keep_small,
)
from vigil_stream.publish.journal_schema import MAX_WAL_PAGES

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


def event(one: Sighting) -> tuple[OutgoingEvent, bytes]:
    made = sighting_event(one)
    return made, made.encode(NOW)


def test_events_wait_for_acknowledgement_and_counters_survive(tmp_path: Path) -> None:
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


def test_a_dropped_event_that_arrives_counts_as_published(tmp_path: Path) -> None:
    """An event that was dropped while it was under way has arrived after all."""
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


FIRST_VERSION = """
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    sighting_id TEXT NOT NULL,
    state TEXT NOT NULL,
    size INTEGER NOT NULL,
    body BLOB NOT NULL
);
INSERT INTO outbox (event_id, sighting_id, state, size, body)
VALUES ('a:1', 'a', 'Opened', 3, 'one'), ('a:2', 'a', 'Updated', 3, 'two'), ('a:3', 'a', 'Closed', 5, 'three');
PRAGMA user_version = 1;
"""


def test_events_of_the_first_version_are_sent_after_an_upgrade(tmp_path: Path) -> None:
    """That version knew sightings only; it can still write to the file afterwards."""
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        db.executescript(FIRST_VERSION)
    journal = Journal(tmp_path, Limits(max_events=3))
    assert (journal.pending, journal.pending_bytes) == (3, 11)
    alert = OutgoingEvent(MessageKind.ALERT, "alert:1", lambda _: b"four")
    assert journal.record([(alert, b"four")]) == 1
    journal.close()
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as db, db:
        db.execute(
            "INSERT INTO outbox (event_id, sighting_id, state, size, body) VALUES ('b:1', 'b', 'Opened', 1, 'x')"
        )
    found = [(entry.event_id, entry.kind) for entry in Journal(tmp_path).next_batch(0, 10)]
    assert found == [
        ("a:1", MessageKind.SIGHTING),
        ("a:3", MessageKind.SIGHTING),
        ("alert:1", MessageKind.ALERT),
        ("b:1", MessageKind.SIGHTING),
    ]


def test_an_event_of_an_unknown_kind_waits_for_an_upgrade(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.record([event(sighting()), event(sighting())])
    journal._db.execute("UPDATE outbox SET kind = 'crossing' WHERE seq = 1")
    assert [entry.seq for entry in journal.next_batch(0, 1)] == [2]
    assert journal.pending == 2


def test_a_checkpoint_keeps_everything(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.record([event(sighting()) for _ in range(5)])
    journal.checkpoint()
    assert len(journal.next_batch(0, 10)) == 5


acts = st.lists(st.sampled_from(["open", "update", "close", "send", "send and die before the ack", "die"]), max_size=30)


@settings(max_examples=40, deadline=None)
@given(acts)
def test_the_bus_holds_every_event_whenever_the_process_dies(acts: list[str]) -> None:
    """The bus knows duplicates by id; what it holds in the end is exactly what was recorded, and the counters agree."""
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


async def test_the_file_stays_small_though_nothing_is_ever_sent(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.record([event(sighting()) for _ in range(50)])
    main = tmp_path / FILE_NAME
    before = main.stat().st_size
    tending = asyncio.create_task(keep_small(journal, 0.005))
    await eventually(lambda: main.stat().st_size > before, 10, "a checkpoint was made")
    tending.cancel()
    await asyncio.wait({tending})
    # Checkpointed, the file of what was written lately is written from its beginning again.
    size = (tmp_path / f"{FILE_NAME}-wal").stat().st_size
    journal.checkpoint()
    journal.record([event(sighting())])
    assert (tmp_path / f"{FILE_NAME}-wal").stat().st_size == size


def test_the_file_is_bounded_without_checkpoints(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for _ in range(2 * MAX_WAL_PAGES):
        journal.count({"frames_captured": 1})
    assert (tmp_path / f"{FILE_NAME}-wal").stat().st_size < 1.2 * MAX_WAL_PAGES * 4096


def refuse_writing(journal: Journal, *, refuse: bool = True) -> None:
    journal._db.execute(f"PRAGMA query_only = {'ON' if refuse else 'OFF'}")


def test_a_write_that_fails_leaves_no_transaction_open(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.record([event(sighting())])
    (entry,) = journal.next_batch(0, 10)
    refuse_writing(journal)
    with pytest.raises(JournalError, match="acknowledgements cannot be written"):
        journal.acknowledged([entry.seq])
    with pytest.raises(JournalError, match="counters cannot be written"):
        journal.count({"frames_captured": 1})
    assert journal.pending == 1
    refuse_writing(journal, refuse=False)
    journal.count({"frames_captured": 1})
    journal.acknowledged([entry.seq])
    assert journal.pending == journal.pending_bytes == 0
    assert journal.counters() == {"events_created": 1, "events_published": 1, "frames_captured": 1}


def test_counters_go_on_while_the_disk_refuses(tmp_path: Path) -> None:
    """They are written when the disk accepts them again."""
    journal, observer = Journal(tmp_path), Recorder()
    captured = 5
    counters = Counters(journal, observer)
    counters.watch("frames_captured", lambda: captured)
    assert counters.save().frames_captured == 5
    refuse_writing(journal)
    captured = 9
    assert counters.save().frames_captured == 9
    assert counters.save().frames_captured == 9
    assert "cannot be written" in observer.errors["counters"][-1]
    refuse_writing(journal, refuse=False)
    captured = 10
    assert counters.save().frames_captured == 10
    assert observer.errors["counters"][-1] == ""
    assert journal.counters()["frames_captured"] == 10


def test_an_open_sighting_that_cannot_be_read_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(tmp_path)
    first, second = sighting(), sighting()
    journal.record([event(first), event(second)])
    journal._db.execute("UPDATE open_sightings SET last = '{}' WHERE sighting_id = ?", (str(first.sighting_id),))
    assert journal.open_sightings() == [second]
    assert str(first.sighting_id) in caplog.text
    caplog.clear()
    assert journal.open_sightings() == [second]
    assert caplog.text == ""
    assert journal._db.execute("SELECT sighting_id, last FROM set_aside").fetchall() == [(str(first.sighting_id), "{}")]


def overwrite(path: Path, start: int) -> None:
    data = bytearray(path.read_bytes())
    data[start:] = b"\xa5" * (len(data) - start)
    path.write_bytes(data)


@pytest.mark.parametrize("start", [0, 4096], ids=["not a database", "damaged pages"])
def test_a_damaged_file_is_moved_aside_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, start: int
) -> None:
    journal = Journal(tmp_path)
    journal.record([event(sighting()) for _ in range(50)])
    journal.close()
    overwrite(tmp_path / FILE_NAME, start)
    again = Journal(tmp_path)
    assert again.pending == 0
    again.record([event(sighting())])
    assert (tmp_path / DAMAGED_NAME).exists()
    assert "counters are lost" in caplog.text


def test_a_last_revision_that_the_disk_refused_is_written_later(tmp_path: Path) -> None:
    journal, observer = Journal(tmp_path), Recorder()
    counters = Counters(journal, observer)
    writer = JournalWriter(journal, counters, observer, retry_s=0)
    first = sighting()
    writer.write([sighting_event(first)])
    refuse_writing(journal)
    closed = sighting(3, SightingState.CLOSED, first)
    writer.write([sighting_event(sighting(2, SightingState.UPDATED, first)), sighting_event(closed)])
    writer.write([])
    assert observer.errors["journal"][-1]
    refuse_writing(journal, refuse=False)
    writer.write([])
    writer.write([])
    assert observer.errors["journal"][-1] == ""
    assert [entry.event_id for entry in journal.next_batch(0, 10)] == [first.event_id, closed.event_id]
    assert journal.open_sightings() == []
    totals = counters.save()
    assert (totals.events_created, totals.events_dropped) == (3, 1)
