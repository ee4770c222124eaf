"""Registration of Sites, whose retention applies to their cameras."""

import datetime as dt
import json
import uuid

import structlog

from vigil_contracts.addresses import hide_in
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import ErasureReceipt
from vigil_contracts.resources import Site
from vigil_gateway.storage.postgres import resources
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.resources import Origin

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
            The installation that registers it; None: not known.
        """
        key = site.metadata.key
        plain = site.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"status"})
        resource = json.dumps(hide_in(plain))
        async with self._database.transaction() as connection:
            await resources.put_site(connection, key, Origin(site.metadata.uid, registrar), resource)
        log.info("site registered", site=str(key), retention=site.spec.retention.sightings)

    async def remove(self, key: ResourceKey, uid: uuid.UUID | None = None) -> ErasureReceipt:
        """Remove a Site; raises DatabaseError.

        Its retention still applies to its sightings, so that deleting a Site keeps no personal data for longer.

        Parameters
        ----------
        uid
            Remove the Site with this uid only; None: whatever its uid.
        """
        async with self._database.transaction() as connection:
            removed = await resources.remove_site(connection, key, uid)
        log.info("site removed", site=str(key), was_registered=removed)
        return ErasureReceipt(erased_at=dt.datetime.now(dt.UTC), counts={"postgres.sites": int(removed)})
