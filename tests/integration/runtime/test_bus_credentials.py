"""How a connection presents itself: with a file that may be replaced while it runs, or with a user and password."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.integration.runtime.test_bus import running
from tests.support.bus_roles import start_bus_of_roles
from tests.support.running import Running
from tests.support.waiting import eventually

from vigil_cli.standalone.servers.nats import nats
from vigil_cli.standalone.servers.ports import LOOPBACK, free_port
from vigil_contracts.bus import MessageKind, bus_subject, event_stream
from vigil_contracts.bus_permissions import BusRole, permissions, user_name
from vigil_contracts.ids import ResourceKey
from vigil_runtime.bus import BusConnection, ensure_streams
from vigil_runtime.bus_address import BusAddress, BusCredentials
from vigil_runtime.bus_authority import BusAuthority

pytestmark = pytest.mark.integration

SITE = "harbour"
DOOR = ResourceKey("default", "door")


async def test_new_credentials_take_effect_without_a_restart(tmp_path: Path) -> None:
    """All keys of the bus are replaced, and the file: the connection that was lost comes back with the new ones."""
    bus = start_bus_of_roles(tmp_path / "bus", SITE)
    file, port = bus.credentials(BusRole.IDENTITY), int(bus.url.rpartition(":")[2])
    server = bus.running
    try:
        address = BusAddress(bus.url, BusCredentials(file=file), SITE)
        async with running(BusConnection(address, "test", BusRole.IDENTITY)) as connection:
            assert await connection.wait_connected() == 1
            await asyncio.to_thread(server.kill)
            authority = BusAuthority.new()
            file.write_text(authority.credentials(BusRole.IDENTITY, "identity"))
            server = Running(nats(bus.folder, port, authority.server_config(SITE)), bus.folder)
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(60):
                await connection.wait_connected(after=1)
            await ensure_streams(connection.jetstream, SITE)
    finally:
        server.kill()


async def test_a_file_that_is_no_credentials_is_reported(tmp_path: Path) -> None:
    bus = start_bus_of_roles(tmp_path / "bus", SITE)
    file = tmp_path / "some.creds"
    address = BusAddress(bus.url, BusCredentials(file=file), SITE)
    try:
        async with running(BusConnection(address, "test", BusRole.IDENTITY)) as connection:
            await eventually(lambda: str(file) in connection.last_error, 30, "that it is missing is reported")
            file.write_text("no credentials")
            await eventually(lambda: "no credentials file" in connection.last_error, 30, "what it is not is reported")
            file.write_text(bus.authority.credentials(BusRole.IDENTITY, "identity"))
            async with asyncio.timeout(60):
                await connection.wait_connected()
    finally:
        bus.running.kill()


def static_user(role: BusRole, camera: ResourceKey | None = None) -> str:
    """Return a user of a server whose administrator writes users into its configuration."""
    name = user_name(role, camera)
    allowed = permissions(role, SITE).of_user(name)
    subjects = {"publish": {"allow": allowed.publish}, "subscribe": {"allow": allowed.subscribe}}
    return json.dumps({"user": name, "password": f"of-{name}", "permissions": subjects})


async def test_the_permissions_hold_for_users_with_passwords_too(tmp_path: Path) -> None:
    """On a bus that somebody else runs."""
    users = ", ".join([static_user(BusRole.IDENTITY), static_user(BusRole.STREAM, DOOR)])
    port = free_port()
    server = Running(nats(tmp_path / "bus", port, f"authorization {{ users: [{users}] }}"), tmp_path / "bus").start()

    def connection(role: BusRole, camera: ResourceKey | None = None) -> BusConnection:
        name = user_name(role, camera)
        credentials = BusCredentials(user=name, password=f"of-{name}")
        return BusConnection(BusAddress(f"nats://{LOOPBACK}:{port}", credentials, SITE), "test", role, camera=camera)

    try:
        async with running(connection(BusRole.IDENTITY)) as identity, running(connection(BusRole.STREAM, DOOR)) as door:
            await identity.wait_connected()
            await ensure_streams(identity.jetstream, SITE)
            await door.wait_connected()
            await door.jetstream.publish(bus_subject(SITE, MessageKind.SIGHTING, DOOR), b"seen")
            with pytest.raises(TimeoutError):
                await door.jetstream.publish(bus_subject(SITE, MessageKind.MATCH, DOOR), b"forged", timeout=0.5)
            state = (await identity.jetstream.stream_info(event_stream(SITE).name, subjects_filter=">")).state
            assert not [subject for subject in state.subjects or () if "match" in subject]
        assert 'Publish Violation - Subject "vigil.harbour.match' in server.log.read_text()
    finally:
        server.kill()
