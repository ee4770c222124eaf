"""Register Sites: what they say of retention holds for their cameras."""

import datetime as dt
import uuid

import structlog

from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import ErasureReceipt
from vigil_contracts.resources import Site
from vigil_gateway.storage.postgres import register
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.register import Origin

log = structlog.get_logger(__name__)


class Sites:
    """The registered Sites."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, site: Site, registrar: uuid.UUID | None = None) -> None:
        """Register a Site; raises DatabaseError.

        Parameters
        ----------
        registrar
            Which installation does; None: it does not tell.
        """
        key = site.metadata.key
        resource = site.model_dump_json(by_alias=True, exclude_none=True, exclude={"status"})
        async with self._database.transaction() as connection:
            await register.put_site(connection, key, Origin(site.metadata.uid, registrar), resource)
        log.info("site put", site=str(key), retention=site.spec.retention.sightings)

    async def remove(self, key: ResourceKey, uid: uuid.UUID | None = None) -> ErasureReceipt:
        """Take a Site out; raises DatabaseError.

        Its retention goes on bounding what was seen there: whoever deletes a Site must not thereby keep people's data
        for longer than was promised.

        Parameters
        ----------
        uid
            Only that very one; None: whichever has this name.
        """
        async with self._database.transaction() as connection:
            removed = await register.remove_site(connection, key, uid)
        log.info("site removed", site=str(key), was_there=removed)
        return ErasureReceipt(erased_at=dt.datetime.now(dt.UTC), counts={"postgres.sites": int(removed)})
