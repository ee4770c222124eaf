"""The writer that stands in for identity: its transaction, and the relay's message."""

import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from vigil_contracts import events
from vigil_contracts.bus import MessageKind, bus_subject
from vigil_contracts.events import Match
from vigil_contracts.ids import ResourceKey, new_sighting_id, sighting_time

SITE = "home"
KEY = ResourceKey("default", "door")
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""When sightings with given times open."""


@dataclass
class Identity:
    """What identity does for subscribers: one transaction per event, then the relay's message."""

    database: asyncpg.Connection
    bus: Any
    published: list[int] = field(default_factory=list)

    async def write(self, match: Match) -> Match:
        """Commit one event and return it with its position."""
        async with self.database.transaction():
            seq = await self.database.fetchval("UPDATE event_counter SET last = last + 1 RETURNING last")
            match = match.model_copy(update={"seq": seq})
            await write_sighting(self.database, match)
            await self.database.execute(
                "INSERT INTO events (seq, sighting_id, sighting_opened_at, revision, payload)"
                " VALUES ($1, $2, $3, $4, $5::jsonb)",
                seq,
                match.sighting.sighting_id,
                match.sighting.opened_at,
                match.revision,
                match.model_dump_json(by_alias=True, exclude_none=True),
            )
        return match

    async def publish(self, match: Match) -> None:
        """Publish on the bus."""
        body = events.encode_match(match, dt.datetime.now(dt.UTC))
        await self.bus.publish(bus_subject(SITE, MessageKind.MATCH, match.sighting.camera.key), body)
        self.published.append(match.seq)

    async def emit(self, match: Match) -> Match:
        """Commit and publish."""
        written = await self.write(match)
        await self.publish(written)
        return written


async def write_sighting(database: asyncpg.Connection, match: Match) -> None:
    """Upsert the row of a sighting as its newest revision has it."""
    sighting, who = match.sighting, match.identity
    shot = sighting.shots[0].model_dump_json(by_alias=True) if sighting.shots else None
    found = who.subject
    row = {
        "id": sighting.sighting_id,
        "opened_at": sighting.opened_at,
        "site": sighting.site,
        "camera_namespace": sighting.camera.namespace,
        "camera_name": sighting.camera.name,
        "state": str(sighting.state),
        "revision": sighting.revision,
        "last_seen_at": sighting.last_seen_at,
        "closed_at": sighting.closed_at,
        "close_reason": sighting.close_reason and str(sighting.close_reason),
        "frames": sighting.frames,
        "still": sighting.still,
        "best_shot": shot,
        "identity": str(who.status),
        "subject_id": found and found.subject_id,
        "subject_namespace": found and found.namespace,
        "subject_name": found and found.name,
        "subject_display_name": found and found.display_name,
        "similarity": who.similarity,
        "threshold": who.threshold,
        "model_id": who.model_id,
        "last_seq": match.seq,
    }
    columns = ", ".join(row)
    places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in row if name not in {"id", "opened_at"})
    sql = f"INSERT INTO sightings ({columns}) VALUES ({places}) ON CONFLICT (opened_at, id) DO UPDATE SET {changes}"  # noqa: S608 - columns of ours
    await database.execute(sql, *row.values())


def a_match(
    camera: str = "door",
    *,
    revision: int = 1,
    sighting_id: uuid.UUID | None = None,
    who: str | None = None,
    padding: str = "",
    still: bool = False,
) -> Match:
    """Return a match of one sighting; `padding` makes it large."""
    sighting_id = sighting_id or new_sighting_id()
    opened = sighting_time(sighting_id)
    shot = events.BestShot(
        captured_at=opened,
        box=events.Box(x=0.1, y=0.2, width=0.3, height=0.4),
        landmarks=[(0.1, 0.2)] * 5,
        confidence=0.9,
        quality=events.FaceQuality(
            score=0.8, face_pixels=90, sharpness=0.7, brightness=0.5, yaw_degrees=-3, pitch_degrees=2, roll_degrees=1
        ),
    )
    subject_id = uuid.uuid5(uuid.NAMESPACE_DNS, who) if who else None
    found = subject_id and events.SubjectRef(
        subject_id=subject_id, namespace="default", name=who or "", display_name=(who or "").title() + padding
    )
    return Match(
        seq=1,
        revision=revision,
        sighting=events.Sighting(
            sighting_id=sighting_id,
            revision=revision,
            state=events.SightingState.OPENED if revision == 1 else events.SightingState.UPDATED,
            site=SITE,
            camera=events.CameraRef(namespace="default", name=camera),
            session_id="session",
            last_seen_at=opened + dt.timedelta(seconds=revision),
            frames=revision,
            box=shot.box,
            still=still,
            shots=[shot],
            trace=events.Trace(captured_at=opened),
        ),
        identity=events.Identity(
            status=events.IdentityStatus.KNOWN if who else events.IdentityStatus.UNKNOWN,
            subject=found,
            similarity=0.7 if who else 0.1,
            threshold=0.4,
            model_id="sface@0123456789ab",
            decided_at=opened,
        ),
    )


@contextlib.asynccontextmanager
async def fresh_identity(database_url: str, bus: Any) -> AsyncIterator[Identity]:
    """Connect to the database anew."""
    connection = await asyncpg.connect(database_url)
    try:
        yield Identity(connection, bus)
    finally:
        await connection.close()
