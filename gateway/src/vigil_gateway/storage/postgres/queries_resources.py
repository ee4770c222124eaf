"""Cameras and Subjects by page: keyset on `(namespace, name)`."""

from collections.abc import Sequence
from typing import Any, Final

from vigil_contracts.ids import ResourceKey
from vigil_gateway.storage.postgres.queries_reader import Reader

_CAMERA: Final = """
    SELECT namespace, name, uid, site, resource::text AS resource, created_at, updated_at FROM cameras s
"""
_SUBJECT: Final = """
    SELECT id, namespace, name, display_name, external_id, category, consent, active_from, active_until,
    created_at, updated_at,
    COALESCE((SELECT json_agg(json_build_object('name', p.name, 'accepted', p.accepted, 'reason', p.reason,
        'message', p.message, 'quality', p.quality) ORDER BY p.name) FROM subject_photos p WHERE p.subject_id = s.id),
        '[]'::json)::text AS photos
    FROM subjects s
"""


class Resources:
    """The tables of declared resources."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def cameras(
        self, after: ResourceKey | None, before: ResourceKey | None, limit: int, *, backward: bool
    ) -> Sequence[Any]:
        """Give up to `limit + 1` cameras between two keys, from the other end when `backward`."""
        return await self._page(_CAMERA, "deleted_at IS NULL", after, before, limit, backward)

    async def camera(self, key: ResourceKey) -> Any | None:  # noqa: ANN401 - asyncpg has no types
        """Give one camera's row; None when there is none."""
        sql = f"{_CAMERA} WHERE namespace = $1 AND name = $2 AND deleted_at IS NULL"
        rows = await self._reader.fetch(sql, *key)
        return rows[0] if rows else None

    async def camera_keys(self) -> frozenset[ResourceKey]:
        """Give the keys of all cameras that are registered."""
        rows = await self._reader.fetch("SELECT namespace, name FROM cameras WHERE deleted_at IS NULL")
        return frozenset(ResourceKey(row["namespace"], row["name"]) for row in rows)

    async def subjects(
        self, after: ResourceKey | None, before: ResourceKey | None, limit: int, *, backward: bool
    ) -> Sequence[Any]:
        """Give up to `limit + 1` Subjects between two keys, from the other end when `backward`."""
        return await self._page(_SUBJECT, "TRUE", after, before, limit, backward)

    async def counts(self) -> tuple[int, int]:
        """Give the number of cameras and of Subjects."""
        rows = await self._reader.fetch(
            "SELECT (SELECT count(*) FROM cameras WHERE deleted_at IS NULL), (SELECT count(*) FROM subjects)"
        )
        return rows[0][0], rows[0][1]

    async def _page(
        self,
        select: str,
        condition: str,
        after: ResourceKey | None,
        before: ResourceKey | None,
        limit: int,
        backward: bool,
    ) -> Sequence[Any]:
        order = "DESC" if backward else "ASC"
        low, high = after or (None, None), before or (None, None)
        sql = (
            f"{select} WHERE {condition} "
            "AND ($1::text IS NULL OR (s.namespace, s.name) > ($1, $2::text)) "
            "AND ($3::text IS NULL OR (s.namespace, s.name) < ($3, $4::text)) "
            f"ORDER BY s.namespace {order}, s.name {order} LIMIT $5"
        )
        return await self._reader.fetch(sql, *low, *high, limit + 1)
