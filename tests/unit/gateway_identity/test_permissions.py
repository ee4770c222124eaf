"""A principal without a permission is refused before anything is read or changed."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from vigil_contracts.ids import ResourceKey
from vigil_gateway.bus.site_bus import SiteBus
from vigil_gateway.handlers.rest.registry import error_response
from vigil_gateway.principal import PermissionDeniedError, system
from vigil_gateway.services import housekeeping
from vigil_gateway.services.enrolment import Enroller
from vigil_gateway.services.erasure import Eraser
from vigil_gateway.services.gallery_sync import GallerySync
from vigil_gateway.services.inventory import Inventory
from vigil_gateway.services.relay import Relay
from vigil_gateway.services.retention import Retention
from vigil_gateway.storage.postgres.event_log import EventLog
from vigil_gateway.storage.postgres.resource_reader import SubjectReader
from vigil_gateway.storage.postgres.sighting_reader import SightingQuery, SightingReader
from vigil_runtime.bus_address import BusAddress, BusCredentials

NOBODY = system("nobody")
NOTHING: Any = None
"""Instead of every store: a service that touched one would fail otherwise."""

KEY, ID = ResourceKey("default", "ann"), uuid.uuid4()


BUS = SiteBus(BusAddress("nats://127.0.0.1:9", BusCredentials(), "home"), "test")
ENROLMENT = Enroller(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING)
ERASER = Eraser(NOTHING, NOTHING, NOTHING)
GALLERY = GallerySync(NOTHING, NOTHING, NOTHING)
CALLS: dict[str, Callable[[], Awaitable[object]]] = {
    "enrolment.put": lambda: ENROLMENT.put(NOBODY, NOTHING, {}),
    "enrolment.stored": lambda: ENROLMENT.stored(NOBODY, KEY),
    "enrolment.claim": lambda: ENROLMENT.claim(NOBODY, KEY, ID, ID),
    "eraser.erase_subject": lambda: ERASER.erase_subject(NOBODY, KEY),
    "eraser.apply_tombstones": lambda: ERASER.apply_tombstones(NOBODY),
    "eraser.receipt": lambda: ERASER.receipt(NOBODY, ID),
    "gallery.follow": lambda: GALLERY.follow(NOBODY, NOTHING, ID),
    "gallery.remove": lambda: GALLERY.remove(NOBODY, ID),
    "gallery.vectors": lambda: GALLERY.vectors(NOBODY, ID),
    "gallery.repair": lambda: GALLERY.repair(NOBODY),
    "inventory.page": lambda: Inventory(NOTHING).page(NOBODY, "subjects", None),
    "relay.run": lambda: Relay(NOBODY, NOTHING, NOTHING, NOTHING, NOTHING).run(),
    "retention.enforce": lambda: Retention(NOBODY, NOTHING, BUS, NOTHING, NOTHING).enforce(),
    "housekeeping": lambda: housekeeping.do_upkeep(NOBODY, NOTHING),
    "event_log": lambda: EventLog(NOTHING, NOBODY).events_after(0, 1),
    "sightings.page": lambda: SightingReader(NOTHING).page(NOBODY, SightingQuery(limit=1)),
    "sightings.by_ids": lambda: SightingReader(NOTHING).by_ids(NOBODY, [ID]),
    "subjects.page": lambda: SubjectReader(NOTHING).page(NOBODY, None, None, 1, backward=False),
    "subjects.by_keys": lambda: SubjectReader(NOTHING).by_keys(NOBODY, [KEY]),
    "subjects.by_ids": lambda: SubjectReader(NOTHING).by_ids(NOBODY, [ID]),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_missing_permission_refuses_the_call(name: str) -> None:
    with pytest.raises(PermissionDeniedError, match="nobody has no permission"):
        await CALLS[name]()


def test_the_registry_answers_403() -> None:
    response = error_response(NOTHING, PermissionDeniedError("use a token that has it"))
    assert response.status_code == 403
    assert b"use a token that has it" in response.body
