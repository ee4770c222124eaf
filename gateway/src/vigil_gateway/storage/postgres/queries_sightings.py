"""Sightings by page: keyset on `(opened_at, id)`, so that a page costs the same wherever it lies."""

import datetime as dt
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vigil_contracts.ids import ResourceKey, sighting_time
from vigil_gateway.storage.postgres.queries_reader import Reader

_COLUMNS: Final = """
    id, opened_at, site, camera_namespace, camera_name, state, revision, last_seen_at, closed_at, close_reason, frames,
    best_shot::text AS best_shot, identity, subject_id, subject_namespace, subject_name, subject_display_name,
    similarity, runner_up_similarity, threshold, margin, model_id, decided_at
"""


@dataclass(frozen=True, slots=True)
class SightingQuery:
    """Which sightings, and which page of them; None: no such condition.

    Attributes
    ----------
    before, after
        Ids between which the page lies, neither included; the list runs from the newest to the oldest, so that `after`
        asks for older ones.
    backward
        Take the page's entries from its oldest end.
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
        places = []
        for value in values:
            self.parameters.append(value)
            places.append(f"${len(self.parameters)}")
        self._terms.append(term.format(*places))

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
            *_columns(query.cameras),
        )
    if query.identity is not None:
        where.add("identity = ANY({}::text[])", [str(status) for status in query.identity])
    if query.states is not None:
        where.add("state = ANY({}::text[])", [str(state) for state in query.states])
    if query.subjects is not None or query.subject_ids is not None:
        where.add(
            "((subject_namespace, subject_name) IN (SELECT * FROM unnest({}::text[], {}::text[]))"
            " OR subject_id = ANY({}::uuid[]))",
            *_columns(query.subjects or ()),
            list(query.subject_ids or ()),
        )
    return where


def _columns(keys: Collection[ResourceKey]) -> tuple[list[str], list[str]]:
    ordered = sorted(keys)
    return [key.namespace for key in ordered], [key.name for key in ordered]


class Sightings:
    """The sightings table."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def page(self, query: SightingQuery) -> Sequence[Any]:
        """Give up to `limit + 1` rows in the order asked for: the last one only says that there is more."""
        where = _conditions(query)
        order = "ASC" if query.backward else "DESC"
        where.parameters.append(query.limit + 1)
        sql = (
            f"SELECT {_COLUMNS} FROM sightings {where.sql} "  # noqa: S608 - the clause holds numbered parameters only
            f"ORDER BY opened_at {order}, id {order} LIMIT ${len(where.parameters)}"
        )
        return await self._reader.fetch(sql, *where.parameters)

    async def one(self, sighting_id: uuid.UUID) -> Any | None:  # noqa: ANN401 - asyncpg has no types
        """Give one sighting's row; None when there is none."""
        sql = f"SELECT {_COLUMNS} FROM sightings WHERE opened_at = $1 AND id = $2"  # noqa: S608 - a constant
        rows = await self._reader.fetch(sql, sighting_time(sighting_id), sighting_id)
        return rows[0] if rows else None
