"""Tell what is registered, by page, so that whoever keeps the register finds what is there no longer."""

from typing import Final

from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import RegisteredKey, RegisteredPage
from vigil_gateway.storage.postgres import register
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.register import RegisteredKind

PAGE: Final = 500


class Inventory:
    """Reads the register."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, kind: RegisteredKind, after: ResourceKey | None) -> RegisteredPage:
        """Give up to `PAGE` resources of a kind behind a key; raises DatabaseError."""
        async with self._database.connection() as connection:
            rows = await register.registered(connection, kind, after, PAGE + 1)
        items = [RegisteredKey.model_validate(dict(row)) for row in rows[:PAGE]]
        return RegisteredPage(items=items, more=len(rows) > PAGE)
