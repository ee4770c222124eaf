"""Registered resources are listed by page with their registrar, and removed by their uid."""

import uuid

import asyncpg
import pytest

from vigil_contracts.ids import ResourceKey
from vigil_gateway.storage.postgres import resources

pytestmark = pytest.mark.integration


async def test_pages_begin_after_a_key_and_omit_what_was_removed(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        uid, registrar = uuid.uuid4(), uuid.uuid4()
        origin = resources.Origin(uid, registrar)
        for namespace, name in (("b", "one"), ("a", "two"), ("a", "one")):
            await resources.put_camera(connection, ResourceKey(namespace, name), origin, "default", "{}")
            await resources.put_site(connection, ResourceKey(namespace, name), origin, "{}")
        for kind in resources.KINDS:
            rows = await resources.registered(connection, kind, None, 2)
            assert [(row.namespace, row.name) for row in rows] == (
                [] if kind == "subjects" else [("a", "one"), ("a", "two")]
            )
            behind = await resources.registered(connection, kind, ResourceKey("a", "two"), 2)
            assert [(row.uid, row.registrar) for row in behind] == ([] if kind == "subjects" else [(uid, registrar)])
        for remove in (resources.remove_camera, resources.remove_site):
            assert not await remove(connection, ResourceKey("a", "one"), uuid.uuid4())
            assert await remove(connection, ResourceKey("a", "one"), uid)
            assert await remove(connection, ResourceKey("a", "two"), None)
        assert len(await resources.registered(connection, "cameras", None, 9)) == 1
        assert len(await resources.registered(connection, "sites", None, 9)) == 1
    finally:
        await connection.close()
