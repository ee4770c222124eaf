"""The recognition models that are or were served."""

from typing import Final

from vigil_gateway.storage.postgres.pool import Connection
from vigil_gateway.storage.postgres.resource_rows import MODELS, ModelRow

_ALL: Final = f"SELECT {MODELS.select} FROM models ORDER BY served_at, id"
_PUT: Final = MODELS.upsert("models", ("id",), keep=("embedding_size",), also=("served_at = now()",))


async def all_models(connection: Connection) -> list[ModelRow]:
    """Return all models; the one that was served last comes last."""
    return MODELS.read_all(await connection.fetch(_ALL))


async def put_model(connection: Connection, model: ModelRow) -> None:
    """Record that a model is served now; its embedding size never changes."""
    await connection.execute(_PUT, *MODELS.values(model))
