"""List what is registered, by page, so that an operator finds resources that no longer exist."""

import dataclasses
from typing import Final

from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import RegisteredKey, RegisteredPage
from vigil_gateway.principal import Permission, Principal
from vigil_gateway.storage.postgres import resources
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.resources import RegisteredKind

PAGE: Final = 500


class Inventory:
    """Reads the keys of all registered resources."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, principal: Principal, kind: RegisteredKind, after: ResourceKey | None) -> RegisteredPage:
        """Return up to `PAGE` resources of a kind after a key; raises DatabaseError."""
        principal.require(Permission.READ_SUBJECTS)
        async with self._database.connection() as connection:
            rows = await resources.registered(connection, kind, after, PAGE + 1)
        items = [RegisteredKey.model_validate(dataclasses.asdict(row)) for row in rows[:PAGE]]
        return RegisteredPage(items=items, more=len(rows) > PAGE)
