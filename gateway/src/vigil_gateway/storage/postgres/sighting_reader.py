"""Sightings by page: keyset on `(opened_at, id)`, so that a page costs the same wherever it lies."""

import dataclasses
import datetime as dt
import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from vigil_contracts.ids import ResourceKey, sighting_time
from vigil_gateway.principal import Permission, Principal
from vigil_gateway.storage.postgres.reader import Reader
from vigil_gateway.storage.postgres.resource_reader import split_keys
from vigil_gateway.storage.postgres.rows import SIGHTINGS, SightingRow

_SIGHTINGS: Final = f"SELECT {SIGHTINGS.select} FROM sightings"
_BY_ID: Final = f"{_SIGHTINGS} WHERE (opened_at, id) IN (SELECT * FROM unnest($1::timestamptz[], $2::uuid[]))"


@dataclass(frozen=True, slots=True)
class SightingQuery:
    """Which sightings, and which page of them; None: no such condition.

    Attributes
    ----------
    before, after
        Ids between which the page lies, neither included; the list runs from the newest to the oldest, so that `after`
        asks for older ones.
    backward
        The page is taken from the oldest end.
    limit
        Entries, at least 1.
    """

    limit: int
    backward: bool = False
    after: uuid.UUID | None = None
    before: uuid.UUID | None = None
    cameras: Collection[ResourceKey] | None = None
    subjects: Collection[ResourceKey] | None = None
    subject_ids: Collection[uuid.UUID] | None = None
    identity: Collection[str] | None = None
    states: Collection[str] | None = None
    opened_from: dt.datetime | None = None
    opened_before: dt.datetime | None = None


class _Conditions:
    """A WHERE clause with numbered parameters."""

    def __init__(self) -> None:
        self.parameters: list[object] = []
        self._terms: list[str] = []

    def add(self, term: str, *values: object) -> None:
        """Add a condition; `{}` in it stands for the values, one each."""
        placeholders = []
        for value in values:
            self.parameters.append(value)
            placeholders.append(f"${len(self.parameters)}")
        self._terms.append(term.format(*placeholders))

    @property
    def sql(self) -> str:
        """The clause."""
        return f"WHERE {' AND '.join(self._terms)}" if self._terms else ""


def _conditions(query: SightingQuery) -> _Conditions:
    where = _Conditions()
    if query.after is not None:
        at = sighting_time(query.after)
        where.add("opened_at <= {} AND (opened_at, id) < ({}, {}::uuid)", at, at, query.after)
    if query.before is not None:
        at = sighting_time(query.before)
        where.add("opened_at >= {} AND (opened_at, id) > ({}, {}::uuid)", at, at, query.before)
    if query.opened_from is not None:
        where.add("opened_at >= {}", query.opened_from)
    if query.opened_before is not None:
        where.add("opened_at < {}", query.opened_before)
    if query.cameras is not None:
        where.add(
            "(camera_namespace, camera_name) IN (SELECT * FROM unnest({}::text[], {}::text[]))",
            *split_keys(query.cameras),
        )
    if query.identity is not None:
        where.add("identity = ANY({}::text[])", [str(status) for status in query.identity])
    if query.states is not None:
        where.add("state = ANY({}::text[])", [str(state) for state in query.states])
    if query.subjects is not None or query.subject_ids is not None:
        where.add(
            "((subject_namespace, subject_name) IN (SELECT * FROM unnest({}::text[], {}::text[]))"
            " OR subject_id = ANY({}::uuid[]))",
            *split_keys(query.subjects or ()),
            list(query.subject_ids or ()),
        )
    return where


class SightingReader:
    """The sightings; every method raises PermissionDeniedError unless the principal may read them."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def page(self, principal: Principal, query: SightingQuery) -> list[SightingRow]:
        """Return up to `limit + 1` rows in the order asked for; the last one only shows that there are more."""
        principal.require(Permission.READ_SIGHTINGS)
        where = _conditions(query)
        order = "ASC" if query.backward else "DESC"
        where.parameters.append(query.limit + 1)
        sql = f"{_SIGHTINGS} {where.sql} ORDER BY opened_at {order}, id {order} LIMIT ${len(where.parameters)}"
        return SIGHTINGS.read_all(await self._reader.fetch(sql, *where.parameters))

    async def estimate(self, principal: Principal, query: SightingQuery) -> int:
        """Return the planner's estimate of how many sightings meet the conditions, whatever the page."""
        principal.require(Permission.READ_SIGHTINGS)
        where = _conditions(dataclasses.replace(query, after=None, before=None))
        plan = await self._reader.value(f"EXPLAIN (FORMAT JSON) {_SIGHTINGS} {where.sql}", *where.parameters)
        return int(json.loads(plan)[0]["Plan"]["Plan Rows"])

    async def by_ids(self, principal: Principal, ids: Collection[uuid.UUID]) -> list[SightingRow]:
        """Return those of these sightings that are kept, in no order; raises ValueError for an id without a time."""
        principal.require(Permission.READ_SIGHTINGS)
        found = await self._reader.fetch(_BY_ID, [sighting_time(one) for one in ids], list(ids))
        return SIGHTINGS.read_all(found)
