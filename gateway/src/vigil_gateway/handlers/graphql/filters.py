"""The filter of sightings, the same for the list and for the subscription."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Final

import strawberry

from vigil_contracts.events import IdentityStatus, SightingState
from vigil_contracts.ids import DNS_LABEL, ResourceKey
from vigil_gateway.handlers.graphql.errors import Code, RequestError, limit_error
from vigil_gateway.handlers.graphql.event_types import SightingEvent

FIRST: Final = dt.datetime.min.replace(tzinfo=dt.UTC)
LAST: Final = dt.datetime.max.replace(tzinfo=dt.UTC)

MAX_NAMED: Final = 200
"""Entries of each list in a filter."""


@strawberry.input(description="A Camera by its namespace and name.")
class CameraKey:
    """A camera, as clients name it."""

    name: str
    namespace: str = "default"


@strawberry.input(description="A Subject by its namespace and name, or by its UUID.")
class SubjectKey:
    """A Subject, as clients name it."""

    name: str | None = None
    namespace: str = "default"
    subject_id: uuid.UUID | None = None


@strawberry.input(description="Sightings that meet all conditions; a list is met by any of its entries.")
class SightingFilter:
    """A filter, as clients write it."""

    cameras: list[CameraKey] | None = None
    subjects: list[SubjectKey] | None = None
    identity: list[IdentityStatus] | None = None
    states: list[SightingState] | None = None
    still: bool | None = strawberry.field(
        default=None,
        description="true: photos and posters only; false: none that is marked so, nor the revision that marks it.",
    )
    opened_from: dt.datetime | None = strawberry.field(default=None, description="Opened at this moment or later.")
    opened_before: dt.datetime | None = strawberry.field(default=None, description="Opened before this moment.")


@dataclass(frozen=True, slots=True)
class Criteria:
    """A filter that was checked; None: no such condition.

    Attributes
    ----------
    opened_from, opened_before
        Timezone-aware; the first included, the second not.
    """

    cameras: frozenset[ResourceKey] | None = None
    subjects: frozenset[ResourceKey] | None = None
    subject_ids: frozenset[uuid.UUID] | None = None
    identity: frozenset[IdentityStatus] | None = None
    states: frozenset[SightingState] | None = None
    still: bool | None = None
    opened_from: dt.datetime | None = None
    opened_before: dt.datetime | None = None

    def __call__(self, event: SightingEvent) -> bool:
        """Return whether an event meets all conditions."""
        sighting = event.sighting
        return (
            (self.cameras is None or (sighting.camera.namespace, sighting.camera.name) in self.cameras)
            and self._identity_fits(event)
            and (self.states is None or sighting.state in self.states)
            and (self.still is None or sighting.still == self.still)
            and (self.opened_from is None or sighting.opened_at >= self.opened_from)
            and (self.opened_before is None or sighting.opened_at < self.opened_before)
            and self._subject_fits(event)
        )

    def _identity_fits(self, event: SightingEvent) -> bool:
        """Return whether the identity fits, or the one that is corrected did."""
        if self.identity is None or event.identity.status in self.identity:
            return True
        return event.previous is not None and IdentityStatus.KNOWN in self.identity

    def _subject_fits(self, event: SightingEvent) -> bool:
        """Return whether the Subject is one of those, or the one that is corrected was."""
        if self.subjects is None and self.subject_ids is None:
            return True
        return any(
            (subject.namespace, subject.name) in (self.subjects or ()) or subject.subject_id in (self.subject_ids or ())
            for subject in (event.identity.subject, event.previous)
            if subject is not None
        )


def check_filter(given: SightingFilter | None) -> Criteria:
    """Return the conditions of a filter as a client wrote it.

    Raises
    ------
    RequestError
        A list too long, a name that no resource can have, a moment without time zone, an empty range.
    """
    if given is None:
        return Criteria()
    for name in ("cameras", "subjects", "identity", "states"):
        length = len(getattr(given, name) or ())
        if length > MAX_NAMED:
            raise limit_error("filter", MAX_NAMED, length, f"entries in filter.{name}")
    keys, ids = _subjects(given.subjects)
    start, end = _moment("openedFrom", given.opened_from), _moment("openedBefore", given.opened_before)
    _check_range(start, end)
    return Criteria(
        cameras=None
        if given.cameras is None
        else frozenset(resource_key("filter.cameras", c.namespace, c.name) for c in given.cameras),
        subjects=keys,
        subject_ids=ids,
        identity=None if given.identity is None else frozenset(given.identity),
        states=None if given.states is None else frozenset(given.states),
        still=given.still,
        opened_from=start,
        opened_before=end,
    )


def _subjects(
    given: list[SubjectKey] | None,
) -> tuple[frozenset[ResourceKey] | None, frozenset[uuid.UUID] | None]:
    if given is None:
        return None, None
    for subject in given:
        if (subject.name is None) == (subject.subject_id is None):
            msg = "each entry of filter.subjects needs either `name` or `subjectId`; give one of them"
            raise RequestError(Code.BAD_ARGUMENT, msg)
    keys = frozenset(resource_key("filter.subjects", s.namespace, s.name) for s in given if s.name is not None)
    return keys, frozenset(s.subject_id for s in given if s.subject_id is not None)


def resource_key(where: str, namespace: str, name: str) -> ResourceKey:
    """Return a key as a client wrote it; raises RequestError when no resource can have it."""
    for part in (namespace, name):
        if not DNS_LABEL.fullmatch(part):
            shown = part if len(part) <= 70 else f"{part[:70]}…"
            msg = f"{shown!r} in {where} is not a name; names have a-z, 0-9 and '-', at most 63"
            raise RequestError(Code.BAD_ARGUMENT, msg)
    return ResourceKey(namespace, name)


def _moment(name: str, given: dt.datetime | None) -> dt.datetime | None:
    """Return a moment in UTC; one before the year 1 or after 9999 there is the first or the last, as was meant."""
    if given is None:
        return None
    if given.tzinfo is None:
        msg = f"filter.{name} has no time zone; write it as 2026-01-31T12:00:00Z or with an offset"
        raise RequestError(Code.BAD_ARGUMENT, msg)
    try:
        return given.astimezone(dt.UTC)
    except OverflowError:
        return LAST if given.year > 1 else FIRST


def _check_range(start: dt.datetime | None, end: dt.datetime | None) -> None:
    if start is not None and end is not None and start >= end:
        raise RequestError(
            Code.BAD_ARGUMENT, "filter.openedFrom is not before filter.openedBefore; correct one of them"
        )
