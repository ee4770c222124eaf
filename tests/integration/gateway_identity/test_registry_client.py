"""The operator's client of the registry, against the real one."""

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from tests.integration.gateway_identity.enrolling import photo
from tests.integration.gateway_identity.making import camera_resource, subject_resource
from tests.integration.gateway_identity.running import TOKEN, until_ready
from tests.support.servers import TritonServer

from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import MAX_PHOTO_BYTES, MAX_PHOTOS_BYTES
from vigil_runtime.registry.client import RegistryClient as Registry
from vigil_runtime.registry.errors import RegistryAwayError, RegistryDeniedError, RegistryRefusedError

pytestmark = pytest.mark.integration

KEY = ResourceKey("default", "joe")


def as_stored(resource: dict[str, Any], uid: uuid.UUID | None = None) -> dict[str, Any]:
    """Return a resource as an API server stores it."""
    metadata = {**resource["metadata"], "namespace": "default", "uid": str(uid or uuid.uuid4()), "generation": 1}
    managed = {"resourceVersion": "7", "managedFields": [{"manager": "kubectl"}], "annotations": {"a": "b"}}
    return {**resource, "metadata": {**metadata, **managed}, "status": {"anything": "that others wrote"}}


@pytest.fixture
async def address(identity: Callable[..., Any], open_triton: TritonServer) -> str:
    program = await identity(triton_urls=open_triton.address)
    await until_ready(program.port)
    return f"http://127.0.0.1:{program.port}"


@pytest.fixture
async def registry(address: str) -> AsyncIterator[Registry]:
    made = Registry(address, TOKEN)
    yield made
    await made.close()


async def test_a_subjects_way_through_the_registry(registry: Registry) -> None:
    uid = uuid.uuid4()
    assert await registry.stored_subject(KEY) is None
    report = await registry.put_subject(
        as_stored(subject_resource("joe", ["one", "two"]), uid), {"one": photo("joe-biden/1.jpg")}
    )
    assert (report.subject_id, report.enrolled) == (uid, True)
    assert {one.name: str(one.reason) for one in report.photos} == {"one": "Accepted", "two": "Missing"}
    assert await registry.stored_subject(KEY) == report
    receipt = await registry.erase_subject(KEY, uid)
    assert receipt.counts["qdrant.vectors"] == 1
    assert await registry.receipt(uid) == receipt
    assert await registry.receipt(uuid.uuid4()) is None
    assert await registry.stored_subject(KEY) is None


async def test_a_photo_that_cannot_be_sent_again_stays(registry: Registry) -> None:
    """If the Subject still takes it from the same source."""
    stored = as_stored(subject_resource("joe", ["one"]))
    sha256 = (await registry.put_subject(stored, {"one": photo("joe-biden/1.jpg")})).photos[0].sha256
    assert sha256 is not None
    renamed = as_stored(subject_resource("joe", ["one"], displayName="Joe"), uuid.UUID(stored["metadata"]["uid"]))
    report = await registry.put_subject(renamed, {}, {"one": sha256})
    assert (report.enrolled, report.photos[0].sha256) == (True, sha256)
    assert await registry.stored_subject(KEY) == report
    assert (await registry.status()).vectors == 1
    assert not (await registry.put_subject(renamed, {}, {"one": "0" * 64})).enrolled

    await registry.put_subject(stored, {"one": photo("joe-biden/1.jpg")})
    place = {"name": "one", "secretKeyRef": {"name": "elsewhere", "key": "one"}}
    pinned = {**renamed, "spec": {**renamed["spec"], "photos": [{**place, "sha256": sha256}]}}
    assert (await registry.put_subject(pinned, {}, {"one": sha256})).enrolled
    moved = {**renamed, "spec": {**renamed["spec"], "photos": [{**place, "secretKeyRef": {"name": "b", "key": "c"}}]}}
    assert not (await registry.put_subject(moved, {}, {"one": sha256})).enrolled
    assert (await registry.status()).vectors == 0
    with pytest.raises(RegistryRefusedError, match="`kept` is no JSON object"):
        await registry.put_subject(renamed, {}, {"two": sha256})


async def test_the_largest_request_is_accepted(registry: Registry) -> None:
    """As many bytes of photos as are allowed, with the largest Subject."""
    names = ["one", "two", "three"]
    assert len(names) * MAX_PHOTO_BYTES == MAX_PHOTOS_BYTES
    large = as_stored(subject_resource("joe", names))
    large["metadata"]["labels"] = {f"label-{number}": "x" * 60 for number in range(10_000)}
    report = await registry.put_subject(large, {name: bytes(MAX_PHOTO_BYTES) for name in names})
    assert {str(one.reason) for one in report.photos} == {"NotAnImage"}


async def test_cameras_and_sites_are_registered_and_removed(registry: Registry) -> None:
    camera = as_stored(camera_resource("door", retention={"sightings": "7d"}))
    site = as_stored({"metadata": {"name": "hq"}, "spec": {"retention": {"sightings": "30d"}}})
    await registry.put_camera(camera)
    await registry.put_site(site)
    assert (await registry.status()).cameras == 1
    assert (await registry.delete_camera(ResourceKey("default", "door"))).counts == {"postgres.cameras": 1}
    assert (await registry.delete_site(ResourceKey("default", "hq"))).counts == {"postgres.sites": 1}


async def test_a_registered_resource_is_removed_by_its_uid(registry: Registry) -> None:
    """It is listed with its uid; another uid removes nothing."""
    camera, site = as_stored(camera_resource("door")), as_stored({"metadata": {"name": "hq"}, "spec": {}})
    subject = as_stored(subject_resource("joe", ["one"]))
    await registry.put_camera(camera)
    await registry.put_site(site)
    await registry.put_subject(subject, {})
    for kind, obj in (("Camera", camera), ("Site", site), ("Subject", subject)):
        listed = [(one.namespace, one.name, str(one.uid)) for one in await registry.registered_keys(kind)]
        assert listed == [("default", obj["metadata"]["name"], obj["metadata"]["uid"])]
    assert (await registry.delete_camera(ResourceKey("default", "door"), uuid.uuid4())).counts == {
        "postgres.cameras": 0
    }
    assert (await registry.delete_site(ResourceKey("default", "hq"), uuid.uuid4())).counts == {"postgres.sites": 0}
    door, uid = ResourceKey("default", "door"), uuid.UUID(camera["metadata"]["uid"])
    assert (await registry.delete_camera(door, uid)).counts == {"postgres.cameras": 1}
    assert await registry.registered_keys("Camera") == []


async def test_the_last_registrar_is_listed(registry: Registry, address: str) -> None:
    objects = {
        "Camera": as_stored(camera_resource("door")),
        "Site": as_stored({"metadata": {"name": "hq"}, "spec": {}}),
        "Subject": as_stored(subject_resource("joe", ["one"])),
    }

    async def put_all(client: Registry) -> None:
        await client.put_camera(objects["Camera"])
        await client.put_site(objects["Site"])
        await client.put_subject(objects["Subject"], {})

    async def registrars() -> set[uuid.UUID | None]:
        return {one.registrar for kind in objects for one in await registry.registered_keys(kind)}

    await put_all(registry)  # as `vigil up`, which names no registrar
    assert await registrars() == {None}
    for client in (Registry(address, TOKEN), Registry(address, TOKEN)):
        client.registrar = uuid.uuid4()
        await put_all(client)
        assert await registrars() == {client.registrar}
        await client.close()


async def test_a_subject_is_claimed_by_its_uid(registry: Registry) -> None:
    """Its photos are not sent; another uid claims nothing."""
    uid, registry.registrar = uuid.uuid4(), uuid.uuid4()
    await registry.put_subject(as_stored(subject_resource("joe", ["one"]), uid), {"one": photo("joe-biden/1.jpg")})
    before, registry.registrar = registry.registrar, uuid.uuid4()
    await registry.claim_subject(KEY, uuid.uuid4())  # of another one under this name: nothing
    report = await registry.stored_subject(KEY)
    assert report is not None
    assert (report.registrar, report.enrolled) == (before, True)
    await registry.claim_subject(KEY, uid)
    assert await registry.stored_subject(KEY) == report.model_copy(update={"registrar": registry.registrar})
    assert (await registry.status()).vectors == 1


async def test_a_long_list_is_read_page_by_page(registry: Registry, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO cameras (namespace, name, uid, site, resource) "
        "SELECT 'ns' || n % 3, 'c' || n, gen_random_uuid(), 's', '{}' FROM generate_series(1, 1203) n",
    )
    await connection.close()
    listed = [(one.namespace, one.name) for one in await registry.registered_keys("Camera")]
    assert len(set(listed)) == len(listed) == 1203


async def test_an_invalid_resource_is_refused_for_good(registry: Registry) -> None:
    """The error has identity's message."""
    with pytest.raises(RegistryRefusedError, match=r"spec\.colour: unknown field"):
        await registry.put_camera(as_stored(camera_resource("door", colour="red")))


async def test_another_token_is_denied(address: str) -> None:
    stranger = Registry(address, "another")
    with pytest.raises(RegistryDeniedError, match="VIGIL_REGISTRY_TOKEN"):
        await stranger.status()
    await stranger.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://no-such-host.invalid:8080"])
async def test_a_registry_that_is_not_there_is_away(url: str) -> None:
    nowhere = Registry(url, TOKEN)
    with pytest.raises(RegistryAwayError, match=url):
        await nowhere.status()
    await nowhere.close()
