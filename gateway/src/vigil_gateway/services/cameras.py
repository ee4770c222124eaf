"""Register cameras, so that what they see is taken."""

import datetime as dt
import uuid
from collections.abc import Callable

import structlog

from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import ErasureReceipt
from vigil_contracts.resources import Camera
from vigil_gateway.storage.postgres import register
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.register import Origin

log = structlog.get_logger(__name__)


class Cameras:
    """The registered cameras of a site.

    Parameters
    ----------
    on_put
        Called after a camera was registered: events that came before it was may be taken now.
    """

    def __init__(self, database: Database, site: str, on_put: Callable[[], None]) -> None:
        self._database = database
        self._site = site
        self._on_put = on_put

    async def put(self, camera: Camera, registrar: uuid.UUID | None = None) -> None:
        """Register a camera, and take up the events that came before it was; raises DatabaseError.

        Parameters
        ----------
        registrar
            Which installation does; None: it does not tell.
        """
        key = camera.metadata.key
        resource = camera.model_dump_json(by_alias=True, exclude_none=True)
        async with self._database.transaction() as connection:
            origin = Origin(camera.metadata.uid, registrar)
            await register.put_camera(connection, key, origin, self._site, resource)
        self._on_put()
        log.info("camera put", camera=str(key))

    async def remove(self, key: ResourceKey, uid: uuid.UUID | None = None) -> ErasureReceipt:
        """Take a camera out: what it saw stays, what it sees from now on is not taken; raises DatabaseError.

        Parameters
        ----------
        uid
            Only that very one; None: whichever has this name.
        """
        async with self._database.transaction() as connection:
            removed = await register.remove_camera(connection, key, uid)
        log.info("camera removed", camera=str(key), was_there=removed)
        return ErasureReceipt(erased_at=dt.datetime.now(dt.UTC), counts={"postgres.cameras": int(removed)})
