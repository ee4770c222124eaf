"""Cameras and Subjects, by page (keyset on `(namespace, name)`), by key and by id."""

import dataclasses
import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, Final

from vigil_contracts.ids import ResourceKey
from vigil_gateway.principal import Permission, Principal
from vigil_gateway.storage.postgres.reader import Reader
from vigil_gateway.storage.postgres.resource_rows import CAMERAS, PHOTOS, SUBJECTS, CameraRow, PhotoRow, SubjectRow

_CAMERAS: Final = f"SELECT {CAMERAS.select} FROM cameras WHERE deleted_at IS NULL"
_SUBJECTS: Final = f"SELECT {SUBJECTS.select} FROM subjects WHERE TRUE"
_BY_KEY: Final = " AND (namespace, name) IN (SELECT * FROM unnest($1::text[], $2::text[]))"
_BY_ID: Final = " AND id = ANY($1::uuid[])"
_CAMERA_KEYS: Final = "SELECT namespace, name FROM cameras WHERE deleted_at IS NULL"
_CAMERA_COUNT: Final = "SELECT count(*) FROM cameras WHERE deleted_at IS NULL"
_SUBJECT_COUNT: Final = "SELECT count(*) FROM subjects"
_PHOTOS: Final = f"""
    SELECT subject_id, {PHOTOS.select} FROM subject_photos WHERE subject_id = ANY($1::uuid[]) ORDER BY name
"""


class CameraReader:
    """The registered cameras, without those that were removed."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def page(
        self, after: ResourceKey | None, before: ResourceKey | None, limit: int, *, backward: bool
    ) -> list[CameraRow]:
        """Return up to `limit + 1` cameras between two keys, from the other end when `backward`."""
        return CAMERAS.read_all(await _page(self._reader, _CAMERAS, (after, before), limit, backward=backward))

    async def by_keys(self, keys: Collection[ResourceKey]) -> list[CameraRow]:
        """Return those of these cameras that are registered, in no order."""
        return CAMERAS.read_all(await self._reader.fetch(_CAMERAS + _BY_KEY, *split_keys(keys)))

    async def keys(self) -> frozenset[ResourceKey]:
        """Return the keys of all registered cameras."""
        return frozenset(ResourceKey(*row) for row in await self._reader.fetch(_CAMERA_KEYS))

    async def count(self) -> int:
        """Return the number of registered cameras."""
        return int(await self._reader.value(_CAMERA_COUNT))


class SubjectReader:
    """The registered Subjects, each with the assessment of its photos.

    Every method raises PermissionDeniedError unless the principal may read Subjects.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def page(
        self, principal: Principal, after: ResourceKey | None, before: ResourceKey | None, limit: int, *, backward: bool
    ) -> list[SubjectRow]:
        """Return up to `limit + 1` Subjects between two keys, from the other end when `backward`."""
        principal.require(Permission.READ_SUBJECTS)
        found = await _page(self._reader, _SUBJECTS, (after, before), limit, backward=backward)
        return await self._with_photos(SUBJECTS.read_all(found))

    async def by_keys(self, principal: Principal, keys: Collection[ResourceKey]) -> list[SubjectRow]:
        """Return those of these Subjects that are registered, in no order."""
        principal.require(Permission.READ_SUBJECTS)
        found = await self._reader.fetch(_SUBJECTS + _BY_KEY, *split_keys(keys))
        return await self._with_photos(SUBJECTS.read_all(found))

    async def by_ids(self, principal: Principal, ids: Collection[uuid.UUID]) -> list[SubjectRow]:
        """Return those of these Subjects that are registered, in no order."""
        principal.require(Permission.READ_SUBJECTS)
        found = await self._reader.fetch(_SUBJECTS + _BY_ID, list(ids))
        return await self._with_photos(SUBJECTS.read_all(found))

    async def count(self) -> int:
        """Return the number of registered Subjects."""
        return int(await self._reader.value(_SUBJECT_COUNT))

    async def _with_photos(self, subjects: list[SubjectRow]) -> list[SubjectRow]:
        if not subjects:
            return []
        photos: defaultdict[uuid.UUID, list[PhotoRow]] = defaultdict(list)
        for record in await self._reader.fetch(_PHOTOS, [subject.id for subject in subjects]):
            photos[record["subject_id"]].append(PHOTOS.read(record))
        return [dataclasses.replace(subject, photos=tuple(photos[subject.id])) for subject in subjects]


async def _page(
    reader: Reader,
    select: str,
    between: tuple[ResourceKey | None, ResourceKey | None],
    limit: int,
    *,
    backward: bool,
) -> Sequence[Any]:
    after, before = between
    order = "DESC" if backward else "ASC"
    parameters: list[object] = [limit + 1]
    sql = select
    for key, sign in ((after, ">"), (before, "<")):
        if key is not None:
            parameters += [key.namespace, key.name]
            sql += f" AND (namespace, name) {sign} (${len(parameters) - 1}, ${len(parameters)})"
    return await reader.fetch(f"{sql} ORDER BY namespace {order}, name {order} LIMIT $1", *parameters)


def split_keys(keys: Collection[ResourceKey]) -> tuple[list[str], list[str]]:
    """Return namespaces and names as two lists, for `unnest`."""
    ordered = sorted(keys)
    return [key.namespace for key in ordered], [key.name for key in ordered]
