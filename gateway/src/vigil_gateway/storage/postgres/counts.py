"""The numbers of the registry's status."""

from typing import Final

from vigil_gateway.storage.postgres.pool import Connection
from vigil_gateway.storage.postgres.resource_rows import COUNTS, CountsRow

_COUNTS: Final = f"SELECT {COUNTS.select}"


async def counts(connection: Connection, model_id: str) -> CountsRow:
    """Return the numbers; vectors are those of one model."""
    return COUNTS.read(await connection.fetchrow(_COUNTS, model_id))
