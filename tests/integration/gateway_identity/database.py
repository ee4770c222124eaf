"""What tests write into and read out of identity's database."""

import datetime as dt
import json
import uuid
from typing import Any

import asyncpg
from tests.integration.gateway_identity.making import CAMERA, MARGIN, MODEL, SIZE, THRESHOLD, Face, camera_resource

from vigil_contracts.events import Match


async def add_model(url: str, model: str = MODEL, size: int = SIZE) -> None:
    await _run(
        url,
        "INSERT INTO models (id, embedding_size, threshold_permille, margin_permille) VALUES ($1, $2, $3, $4)",
        model,
        size,
        round(THRESHOLD * 1000),
        round(MARGIN * 1000),
    )


async def add_camera(url: str, site: str, name: str = CAMERA, **spec: Any) -> None:
    resource = json.dumps(camera_resource(name, **spec))
    sql = "INSERT INTO cameras (namespace, name, site, resource) VALUES ('default', $1, $2, $3::jsonb)"
    await _run(url, sql, name, site, resource)


async def add_subject(
    url: str,
    name: str,
    *faces: Face,
    model: str = MODEL,
    consent: str = "Granted",
    active_from: dt.datetime | None = None,
    active_until: dt.datetime | None = None,
) -> uuid.UUID:
    subject_id = uuid.uuid4()
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "INSERT INTO subjects (id, namespace, name, display_name, consent, active_from, active_until)"
            " VALUES ($1, 'default', $2, $2, $3, $4, $5)",
            subject_id,
            name,
            consent,
            active_from,
            active_until,
        )
        for number, vector in enumerate(faces):
            await connection.execute(
                "INSERT INTO subject_embeddings VALUES ($1, $2, $3, $4)",
                subject_id,
                f"photo-{number}",
                model,
                vector.astype("<f4").tobytes(),
            )
    finally:
        await connection.close()
    return subject_id


async def rows(url: str, sql: str, *args: object) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(url)
    try:
        return [dict(row) for row in await connection.fetch(sql, *args)]
    finally:
        await connection.close()


async def _run(url: str, sql: str, *args: object) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql, *args)
    finally:
        await connection.close()


execute = _run


async def matches(url: str) -> list[Match]:
    """Read all events in order."""
    found = await rows(url, "SELECT payload::text AS payload FROM events ORDER BY seq")
    return [Match.model_validate_json(row["payload"]) for row in found]
