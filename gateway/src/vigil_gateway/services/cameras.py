"""Registration of cameras; sightings of registered cameras are accepted."""

import datetime as dt
import json
import uuid
from collections.abc import Callable

import structlog

from vigil_contracts.addresses import hide_in
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import ErasureReceipt
from vigil_contracts.resources import Camera
from vigil_gateway.storage.postgres import resources
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.resources import Origin

log = structlog.get_logger(__name__)


class Cameras:
    """The registered cameras of a site.

    Parameters
    ----------
    on_put
        Called after a camera was registered: events that were rejected before may be accepted now.
    """

    def __init__(self, database: Database, site: str, on_put: Callable[[], None]) -> None:
        self._database = database
        self._site = site
        self._on_put = on_put

    async def put(self, camera: Camera, registrar: uuid.UUID | None = None) -> None:
        """Register a camera; events that came before are processed then. Raises DatabaseError.

        Parameters
        ----------
        registrar
            The installation that registers it; None: not known.
        """
        key = camera.metadata.key
        resource = json.dumps(hide_in(camera.model_dump(mode="json", by_alias=True, exclude_none=True)))
        async with self._database.transaction() as connection:
            origin = Origin(camera.metadata.uid, registrar)
            await resources.put_camera(connection, key, origin, self._site, resource)
        self._on_put()
        log.info("camera registered", camera=str(key))

    async def remove(self, key: ResourceKey, uid: uuid.UUID | None = None) -> ErasureReceipt:
        """Remove a camera: its sightings stay, and later ones are rejected. Raises DatabaseError.

        Parameters
        ----------
        uid
            Remove the camera with this uid only; None: whatever its uid.
        """
        async with self._database.transaction() as connection:
            removed = await resources.remove_camera(connection, key, uid)
        log.info("camera removed", camera=str(key), was_registered=removed)
        return ErasureReceipt(erased_at=dt.datetime.now(dt.UTC), counts={"postgres.cameras": int(removed)})
