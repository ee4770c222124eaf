"""Objects by their keys, read in batches: one statement for all that the fields of one step need."""

import uuid
from typing import Protocol, cast

import strawberry
from strawberry.dataloader import DataLoader

from vigil_contracts.ids import ResourceKey
from vigil_gateway.handlers.graphql.errors import from_database
from vigil_gateway.handlers.graphql.live.cameras import CameraStates
from vigil_gateway.principal import Principal
from vigil_gateway.storage.postgres.resource_reader import CameraReader, SubjectReader
from vigil_gateway.storage.postgres.resource_rows import CameraRow, SubjectRow
from vigil_gateway.storage.postgres.rows import SightingRow
from vigil_gateway.storage.postgres.sighting_reader import SightingReader


class Readers(Protocol):
    """The stores of the loaders."""

    @property
    def registered_cameras(self) -> CameraReader:
        """The registered cameras."""

    @property
    def subjects(self) -> SubjectReader:
        """The registered Subjects."""

    @property
    def sightings(self) -> SightingReader:
        """The sightings."""

    @property
    def cameras(self) -> CameraStates:
        """The last heartbeats."""


class Loaders:
    """The loaders of one principal.

    Nothing is remembered between two batches: a WebSocket lives for days, and what was erased must not stay in it.

    Attributes
    ----------
    states
        The last heartbeat of every camera; in memory, so that nothing has to be loaded.
    """

    def __init__(self, readers: Readers, principal: Principal) -> None:
        self._readers = readers
        self._principal = principal
        self.states = readers.cameras
        self.cameras: DataLoader[ResourceKey, CameraRow | None] = DataLoader(self._cameras, cache=False)
        self.subjects: DataLoader[uuid.UUID, SubjectRow | None] = DataLoader(self._subjects, cache=False)
        self.sightings: DataLoader[uuid.UUID, SightingRow | None] = DataLoader(self._sightings, cache=False)

    async def _cameras(self, keys: list[ResourceKey]) -> list[CameraRow | None]:
        rows = await from_database(self._readers.registered_cameras.by_keys(set(keys)))
        found = {row.key: row for row in rows}
        return [found.get(key) for key in keys]

    async def _subjects(self, ids: list[uuid.UUID]) -> list[SubjectRow | None]:
        rows = await from_database(self._readers.subjects.by_ids(self._principal, set(ids)))
        found = {row.id: row for row in rows}
        return [found.get(one) for one in ids]

    async def _sightings(self, ids: list[uuid.UUID]) -> list[SightingRow | None]:
        rows = await from_database(self._readers.sightings.by_ids(self._principal, set(ids)))
        found = {row.id: row for row in rows}
        return [found.get(one) for one in ids]


class _Context(Protocol):
    @property
    def loaders(self) -> Loaders:
        """The loaders of the request."""


def loaders(info: strawberry.Info) -> Loaders:
    """Return the loaders of the request behind a resolver."""
    return cast("_Context", info.context).loaders
