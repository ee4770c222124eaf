"""Sightings by page: keyset on `(opened_at, id)`, so that a page costs the same wherever it lies."""

import dataclasses
import datetime as dt
import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from vigil_contracts.events import SightingState
from vigil_contracts.ids import ResourceKey, sighting_time
from vigil_gateway.principal import Permission, Principal
from vigil_gateway.storage.postgres.reader import Reader
from vigil_gateway.storage.postgres.resource_reader import split_keys
from vigil_gateway.storage.postgres.rows import BY_CLAIMED_MOMENT, BY_ID_ALONE, SIGHTINGS, SightingRow

_SIGHTINGS: Final = f"SELECT {SIGHTINGS.select} FROM sightings"
_BY_ID: Final = f"{_SIGHTINGS} WHERE {BY_CLAIMED_MOMENT} UNION ALL {_SIGHTINGS} WHERE {BY_ID_ALONE}"
_PAGE_OF_EACH: Final = """
    SELECT one.* FROM unnest({wanted}) AS wanted ({aliases}) CROSS JOIN LATERAL (
        SELECT opened_at, id FROM sightings WHERE {condition} {rest} {tail}
    ) AS one
"""
"""A page of each value by the index of its column; one condition for all would read every sighting, or sort them."""

CLOSED: Final = str(SightingState.CLOSED)


@dataclass(frozen=True, slots=True)
class _Key:
    """Values of indexed columns, of each of which a page is read.

    Attributes
    ----------
    values
        One list for each column.
    """

    columns: tuple[str, ...]
    type: str
    values: tuple[list[Any], ...]

    def page_of_each(self, first: int, rest: str, tail: str) -> str:
        """Return the SQL, in which the parameters of the values are numbered from `first` on."""
        return _PAGE_OF_EACH.format(
            wanted=", ".join(f"${first + number}::{self.type}[]" for number in range(len(self.columns))),
            aliases=", ".join(f"wanted_{column}" for column in self.columns),
            condition=" AND ".join(f"{column} = wanted_{column}" for column in self.columns),
            rest=rest,
            tail=tail,
        )


class SightingPosition(NamedTuple):
    """A place in the list of sightings, which is ordered by when they opened."""

    opened_at: dt.datetime
    id: uuid.UUID

    @classmethod
    def claimed(cls, sighting_id: uuid.UUID) -> Self:
        """Return the position by the moment inside the id; raises ValueError or OverflowError when there is none."""
        return cls(sighting_time(sighting_id), sighting_id)


@dataclass(frozen=True, slots=True)
class SightingQuery:
    """Which sightings, and which page of them; None: no such condition.

    Attributes
    ----------
    before, after
        Positions between which the page lies, neither included; the list runs from the newest to the oldest, so that
        `after` asks for older ones.
    backward
        The page is taken from the oldest end.
    limit
        Entries, at least 1.
    """

    limit: int
    backward: bool = False
    after: SightingPosition | None = None
    before: SightingPosition | None = None
    cameras: Collection[ResourceKey] | None = None
    subjects: Collection[ResourceKey] | None = None
    subject_ids: Collection[uuid.UUID] | None = None
    identity: Collection[str] | None = None
    states: Collection[str] | None = None
    still: bool | None = None
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


def _of_subjects(query: SightingQuery) -> bool:
    return query.subjects is not None or query.subject_ids is not None


def _keys(query: SightingQuery) -> tuple[list[_Key], frozenset[str]]:
    """Return the values by whose index a page is read, and the conditions that they stand for: the most selective."""
    if _of_subjects(query):
        names = _Key(("subject_namespace", "subject_name"), "text", split_keys(query.subjects or ()))
        return [names, _Key(("subject_id",), "uuid", (list(query.subject_ids or ()),))], frozenset({"subjects"})
    if query.cameras is not None:
        cameras = _Key(("camera_namespace", "camera_name"), "text", split_keys(query.cameras))
        return [cameras], frozenset({"cameras"})
    if query.identity is not None:
        return [_Key(("identity",), "text", (_texts(query.identity),))], frozenset({"identity"})
    return [], frozenset()


def _texts(values: Collection[str]) -> list[str]:
    return [str(value) for value in values]


def _conditions(query: SightingQuery, without: frozenset[str] = frozenset()) -> _Conditions:
    """Return the conditions of a query, `without` those on cameras, identity or subjects."""
    where = _Conditions()
    _add_range(where, query)
    if query.cameras is not None and "cameras" not in without:
        where.add(
            "(camera_namespace, camera_name) IN (SELECT * FROM unnest({}::text[], {}::text[]))",
            *split_keys(query.cameras),
        )
    if query.identity is not None and "identity" not in without:
        where.add("identity = ANY({}::text[])", _texts(query.identity))
    if query.states is not None:
        where.add("state = ANY({}::text[])", _texts(query.states))
        if CLOSED not in _texts(query.states):
            where.add(f"state <> '{CLOSED}'")  # as the index of the few others has it
    if query.still is not None:
        where.add("still" if query.still else "NOT still")  # no parameter, for the same reason
    if _of_subjects(query) and "subjects" not in without:
        where.add(
            "((subject_namespace, subject_name) IN (SELECT * FROM unnest({}::text[], {}::text[]))"
            " OR subject_id = ANY({}::uuid[]))",
            *split_keys(query.subjects or ()),
            list(query.subject_ids or ()),
        )
    return where


def _add_range(where: _Conditions, query: SightingQuery) -> None:
    if query.after is not None:
        at, one = query.after
        where.add("opened_at <= {} AND (opened_at, id) < ({}, {}::uuid)", at, at, one)
    if query.before is not None:
        at, one = query.before
        where.add("opened_at >= {} AND (opened_at, id) > ({}, {}::uuid)", at, at, one)
    if query.opened_from is not None:
        where.add("opened_at >= {}", query.opened_from)
    if query.opened_before is not None:
        where.add("opened_at < {}", query.opened_before)


def _page_statement(select: str, query: SightingQuery) -> tuple[str, list[object]]:
    """Return the SQL of a page with its parameters; each part of it reads one index in the page's order."""
    keys, without = _keys(query)
    where = _conditions(query, without)
    parameters = [*where.parameters, query.limit + 1]
    order = "ASC" if query.backward else "DESC"
    tail = f"ORDER BY opened_at {order}, id {order} LIMIT ${len(parameters)}"
    if not keys:
        return f"{select} {where.sql} {tail}", parameters
    rest = f"AND {where.sql.removeprefix('WHERE ')}" if where.sql else ""
    pages = []
    for key in keys:
        pages.append(key.page_of_each(len(parameters) + 1, rest, tail))
        parameters += key.values
    found = f"SELECT opened_at, id FROM ({' UNION '.join(pages)}) AS found {tail}"
    return f"{select} WHERE (opened_at, id) IN ({found}) {tail}", parameters


class SightingReader:
    """The sightings; every method raises PermissionDeniedError unless the principal may read them."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def page(self, principal: Principal, query: SightingQuery) -> list[SightingRow]:
        """Return up to `limit + 1` rows in the order asked for; the last one only shows that there are more."""
        principal.require(Permission.READ_SIGHTINGS)
        sql, parameters = _page_statement(_SIGHTINGS, query)
        return SIGHTINGS.read_all(await self._reader.fetch(sql, *parameters))

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
