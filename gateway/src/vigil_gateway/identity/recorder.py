"""The transaction that records a batch of sightings, all or nothing.

A repeated revision changes nothing, because it is recorded once. A late one adds its own record and one event that
marks it as superseded, because the newest revision decides alone. An advisory lock serialises transactions on the same
sighting, so that what is read here still holds at the commit.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from vigil_contracts.events import RejectReason, Sighting
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources.camera import RecognitionMode
from vigil_gateway.identity import decision, state, times
from vigil_gateway.identity.decision import Decision, Probe, Shots
from vigil_gateway.identity.incoming import Incoming, Rejection, waits_for_camera
from vigil_gateway.identity.state import IdentifiedSighting
from vigil_gateway.services.model import Model
from vigil_gateway.storage.postgres import rejected, sightings
from vigil_gateway.storage.postgres.pool import Connection
from vigil_gateway.storage.postgres.resource_rows import CameraRuleRow, SubjectRow
from vigil_gateway.storage.postgres.rows import RejectedRow, RevisionRow, SightingRow
from vigil_gateway.storage.postgres.sightings import NewEvent
from vigil_gateway.storage.qdrant.gallery import Gallery, Neighbours

_NO_NEIGHBOURS: Final = Neighbours((), complete=True)
_NO_REASON: Final = Rejection(RejectReason.INVALID_DATA, "the event could not be read")


@dataclass(frozen=True, slots=True)
class ProcessedMessage:
    """A message that was read, with its nearest neighbours in the gallery.

    Attributes
    ----------
    sighting
        None when it is rejected.
    probe
        None when it has no embedding.
    """

    incoming: Incoming
    sighting: Sighting | None = None
    rejection: Rejection | None = None
    probe: Probe | None = None
    model: Model | None = None
    found: Neighbours = _NO_NEIGHBOURS
    shots: Shots | None = None


class Result(StrEnum):
    """The result of processing a message."""

    RECORDED = "recorded"
    SUPERSEDED = "superseded"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(slots=True)
class Outcome:
    """The result of processing a message, with its reason or decision.

    Attributes
    ----------
    decision
        None unless recorded.
    """

    result: Result
    rejection: Rejection | None = None
    decision: Decision | None = None


@dataclass(slots=True)
class _Batch:
    """The rows that the transaction collects before it writes.

    Attributes
    ----------
    current
        The newest revision of each sighting, as far as this batch has been processed.
    changed
        By sighting: its newest revision, its decision, and the index of its event in `events`.
    """

    now: dt.datetime
    cameras: dict[ResourceKey, CameraRuleRow]
    current: dict[uuid.UUID, IdentifiedSighting]
    recorded: set[tuple[uuid.UUID, int]]
    subjects: dict[uuid.UUID, SubjectRow]
    changed: dict[uuid.UUID, tuple[IdentifiedSighting, Decision, int]] = field(default_factory=dict)
    revisions: list[RevisionRow] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)


class Recorder:
    """Writes batches."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    async def record(self, connection: Connection, messages: Sequence[ProcessedMessage]) -> list[Outcome]:
        """Write a batch inside an open transaction and return the outcome of each message, in their order.

        Parameters
        ----------
        connection
            With an open transaction (READ COMMITTED).
        """
        waited = [one.incoming.rejected_id for one in messages if one.incoming.rejected_id is not None]
        await rejected.delete(connection, waited)
        batch, messages = await self._read(connection, messages)
        found = await self._read_subjects(connection, batch, messages)
        outcomes = [_process(batch, one, near) for one, near in zip(messages, found, strict=True)]
        await self._write(connection, batch)
        return outcomes

    async def _read(
        self, connection: Connection, messages: Sequence[ProcessedMessage]
    ) -> tuple[_Batch, Sequence[ProcessedMessage]]:
        """Return the stored sightings, and the messages with the moments at which those opened."""
        now = dt.datetime.now(dt.UTC)
        revisions = [one.sighting for one in messages if one.sighting is not None]
        if not revisions:
            return _Batch(now, {}, {}, set(), {}), messages
        ids = {one.sighting_id for one in revisions}
        await sightings.lock(connection, ids)
        cameras = await sightings.cameras(connection, {one.camera.key for one in revisions})
        current = {row.id: state.from_row(row) for row in await sightings.current_sightings(connection, ids)}
        messages = _opened_once(messages, current)
        keys = [state.revision_key(one.sighting) for one in messages if one.sighting is not None]
        return _Batch(
            now=now,
            cameras={row.key: row for row in cameras},
            current=current,
            recorded=await sightings.known_revisions(connection, keys),
            subjects={},
        ), messages

    async def _read_subjects(
        self, connection: Connection, batch: _Batch, messages: Sequence[ProcessedMessage]
    ) -> list[Neighbours]:
        """Read the Subjects that were found, and return them; where too few may be recognised, search further."""
        found = [one.found for one in messages]
        await self._add_subjects(connection, batch, [near for one in messages if one.shots for near in one.shots.found])
        await self._add_subjects(connection, batch, found)
        for number, one in enumerate(messages):
            if one.probe is None or one.sighting is None:
                continue
            moments = decision.Times.of(one.sighting, batch.now)
            if not decision.needs_wider_search(found[number], batch.subjects, moments):
                continue
            wider = await self._gallery.search(one.probe.model_id, one.probe.vector[None], decision.WIDE_SEARCH_LIMIT)
            await self._add_subjects(connection, batch, wider)
            found[number] = wider[0]
        return found

    async def _add_subjects(self, connection: Connection, batch: _Batch, found: Sequence[Neighbours]) -> None:
        ids = {near.subject_id for one in found for near in one.nearest} - batch.subjects.keys()
        for row in await sightings.subjects(connection, ids):
            batch.subjects[row.id] = row

    async def _write(self, connection: Connection, batch: _Batch) -> None:
        if batch.rejected:
            await rejected.insert(connection, batch.rejected)
        if not batch.events:
            return
        await sightings.insert_revisions(connection, batch.revisions)
        decisions = [
            state.match_row(state.revision_key(current.sighting), decided)
            for current, decided, _ in batch.changed.values()
        ]
        await sightings.upsert_matches(connection, decisions)
        # The positions come last: from here to the commit all other batches of the site wait.
        first = await sightings.take_positions(connection, len(batch.events))
        rows = [
            SightingRow.from_events(current.sighting, current.identity, first + index)
            for current, _, index in batch.changed.values()
        ]
        await sightings.upsert_sightings(connection, rows)
        await sightings.insert_events(connection, first, batch.events)


def _opened_once(
    messages: Sequence[ProcessedMessage], current: Mapping[uuid.UUID, IdentifiedSighting]
) -> list[ProcessedMessage]:
    """Return the messages with every revision opened when the first one of its sighting was, whatever clocks did."""
    first = {key: one.sighting for key, one in current.items()}
    timed = []
    for one in messages:
        sighting = one.sighting
        if sighting is not None:
            opened = first.setdefault(sighting.sighting_id, sighting)
            sighting = times.opened_at(sighting, opened.bounded_opened_at, opened.opened_not_before)
        timed.append(replace(one, sighting=sighting))
    return timed


def _process(batch: _Batch, one: ProcessedMessage, found: Neighbours) -> Outcome:
    """Add one message to the batch, in the order of the bus."""
    if one.sighting is None or one.rejection is not None:
        return _reject(batch, one.incoming, one.rejection or _NO_REASON)
    sighting = one.sighting
    camera = batch.cameras.get(sighting.camera.key)
    if camera is None or not state.accepts(camera, sighting.opened_at):
        return _reject(batch, one.incoming, _unknown_camera(sighting))
    before = batch.current.get(sighting.sighting_id)
    if before is not None and before.sighting.camera.key != sighting.camera.key:
        return _reject(batch, one.incoming, _other_camera(sighting))
    if (sighting.sighting_id, sighting.revision) in batch.recorded:
        return Outcome(Result.DUPLICATE)
    batch.recorded.add((sighting.sighting_id, sighting.revision))
    superseded = before is not None and before.sighting.revision > sighting.revision
    batch.revisions.append(state.revision_row(sighting, superseded=superseded))
    if before is not None and superseded:
        batch.events.append(state.match_event(before, sighting.revision, superseded=True))
        return Outcome(Result.SUPERSEDED)
    decided = _decide(batch, one, sighting, found, camera)
    after = state.identified(sighting, decided.identity)
    batch.current[sighting.sighting_id] = after
    batch.changed[sighting.sighting_id] = (after, decided, len(batch.events))
    previous = state.corrected(before, after)
    batch.events.append(state.match_event(after, sighting.revision, superseded=False, previous=previous))
    return Outcome(Result.RECORDED, decision=decided)


def _decide(
    batch: _Batch, one: ProcessedMessage, sighting: Sighting, found: Neighbours, camera: CameraRuleRow
) -> Decision:
    if one.probe is None or one.model is None or camera.mode == RecognitionMode.DETECT_ONLY:
        return decision.undetermined(batch.now)
    threshold = None if camera.threshold_permille is None else camera.threshold_permille / 1000
    moments = decision.Times.of(sighting, batch.now)
    return decision.decide(found, batch.subjects, one.model, threshold, moments, one.shots)


def _reject(batch: _Batch, incoming: Incoming, rejection: Rejection) -> Outcome:
    batch.rejected.append(
        RejectedRow(
            subject=incoming.subject,
            stream_seq=incoming.stream_seq,
            reason=str(rejection.reason),
            message=rejection.message,
            waits_for=rejection.waits_for,
            payload=incoming.body,
            received_at=incoming.received_at or batch.now,
            clock_offset_ms=None if incoming.clock_offset is None else incoming.clock_offset.total_seconds() * 1000,
        )
    )
    return Outcome(Result.REJECTED, rejection)


def _unknown_camera(sighting: Sighting) -> Rejection:
    key = sighting.camera.key
    msg = f"camera {key} is not registered; the event is processed when it is"
    return Rejection(RejectReason.UNKNOWN_CAMERA, msg, waits_for_camera(key))


def _other_camera(sighting: Sighting) -> Rejection:
    msg = f"the sighting was opened by another camera than {sighting.camera.key}, and stays with it"
    return Rejection(RejectReason.WRONG_SUBJECT, msg)
