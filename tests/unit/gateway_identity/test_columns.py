import dataclasses
import datetime as dt
import enum
import uuid
from typing import Any

import pytest

from vigil_contracts import events
from vigil_contracts.ids import new_sighting_id, sighting_time
from vigil_gateway.storage.postgres.columns import NO_COLUMN, Columns
from vigil_gateway.storage.postgres.rows import SIGHTINGS, SightingRow


class Colour(enum.StrEnum):
    RED = "Red"


@dataclasses.dataclass(frozen=True)
class Thing:
    id: int
    colour: Colour | None
    box: events.Box | None
    more: dict[str, Any] | None
    answer: int
    not_stored: tuple[int, ...] = dataclasses.field(default=(), metadata=NO_COLUMN)


THINGS = Columns(Thing, {"answer": "40 + 2"})


def test_a_field_with_a_default_is_a_column() -> None:
    """Otherwise a new column with a default would silently not be stored."""

    @dataclasses.dataclass(frozen=True)
    class Measured:
        id: int
        height_cm: float | None = None

    assert Columns(Measured).names == ("id", "height_cm")


def test_statements_name_each_column_once() -> None:
    assert THINGS.select == "id, colour, (box)::text AS box, (more)::text AS more, 40 + 2 AS answer"
    assert THINGS.insert("things") == "INSERT INTO things (id, colour, box, more) VALUES ($1, $2, $3::jsonb, $4::jsonb)"
    assert THINGS.upsert("things", ["id"], where="things.id > 3", also=["n = n + 1"]).endswith(
        "ON CONFLICT (id) DO UPDATE SET colour = EXCLUDED.colour, box = EXCLUDED.box, more = EXCLUDED.more, n = n + 1"
        " WHERE things.id > 3"
    )


@pytest.mark.parametrize(
    ("row", "values"),
    [
        (Thing(1, None, None, None, 42), (1, None, None, None)),
        (
            Thing(1, Colour.RED, events.Box(x=0, y=0, width=1, height=1), {"a": [1]}, 42),
            (1, "Red", '{"x":0.0,"y":0.0,"width":1.0,"height":1.0}', '{"a": [1]}'),
        ),
    ],
)
def test_a_row_is_read_as_it_was_written(row: Thing, values: tuple[Any, ...]) -> None:
    assert THINGS.values(row) == values
    assert THINGS.read({**dict(zip(THINGS.names, values, strict=True)), "answer": 42}) == row


@pytest.mark.parametrize("moved", [None, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)])
def test_a_sighting_survives_its_row(moved: dt.datetime | None) -> None:
    sighting_id = new_sighting_id()
    opened = sighting_time(sighting_id)
    sighting = events.Sighting(
        sighting_id=sighting_id,
        revision=3,
        state=events.SightingState.CLOSED,
        site="home",
        camera=events.CameraRef(namespace="default", name="door"),
        session_id="s",
        last_seen_at=opened,
        closed_at=opened,
        close_reason=events.CloseReason.LEFT,
        frames=7,
        still=True,
        box=events.Box(x=0.1, y=0.2, width=0.3, height=0.4),
        received_at=opened,
        clock_offset_ms=-1.5,
        bounded_opened_at=moved,
        opened_not_before=moved,
    )
    who = events.Identity(
        status=events.IdentityStatus.KNOWN,
        subject=events.SubjectRef(subject_id=uuid.uuid4(), namespace="default", name="ann", display_name="Ann"),
        similarity=0.7,
        decided_at=dt.datetime.now(dt.UTC),
        reason=events.IdentityReason.RECOGNISED,
    )
    row = SightingRow.from_events(sighting, who, last_seq=9)
    read = SIGHTINGS.read(dict(zip(SIGHTINGS.names, SIGHTINGS.values(row), strict=True)))
    assert read == row
    assert (read.to_sighting(), read.to_identity()) == (sighting, who)
