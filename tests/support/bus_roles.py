"""A NATS server that knows the roles of one site, and clients of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client
from tests.support.running import Running

from vigil_cli.standalone.servers.nats import nats as nats_server
from vigil_cli.standalone.servers.ports import LOOPBACK, free_port
from vigil_contracts.bus_permissions import BusRole, inbox_prefix, user_name
from vigil_contracts.ids import ResourceKey
from vigil_runtime.bus_address import BusAddress, BusCredentials
from vigil_runtime.bus_authority import BusAuthority, encode_jwt
from vigil_runtime.bus_credentials import connect_options, credentials_text
from vigil_runtime.nkeys import KeyPair, Owner


@dataclass(frozen=True)
class BusOfRoles:
    """The bus of one site, where every user has a role and nobody may do everything."""

    running: Running
    url: str
    site: str
    authority: BusAuthority
    folder: Path

    def credentials(self, role: BusRole, camera: ResourceKey | None = None) -> Path:
        """Make a user, and return its credentials file."""
        file = self.folder / f"{user_name(role, camera)}.creds"
        file.write_text(self.authority.credentials(role, user_name(role, camera)))
        return file

    def address(self, role: BusRole, camera: ResourceKey | None = None) -> BusAddress:
        """Return the address of the bus for a new user."""
        return BusAddress(self.url, BusCredentials(file=self.credentials(role, camera)), self.site)

    @property
    def refusals(self) -> list[str]:
        """What the server refused, in the words of its log."""
        return [line for line in self.running.log.read_text().splitlines() if "Violation" in line or "Invalid" in line]


def start_bus_of_roles(folder: Path, site: str) -> BusOfRoles:
    """Start a server that `vigil up` would start for a site."""
    port, authority = free_port(), BusAuthority.new()
    server = Running(nats_server(folder, port, authority.server_config(site)), folder).start()
    return BusOfRoles(server, f"nats://{LOOPBACK}:{port}", site, authority, folder)


def administrator(authority: BusAuthority) -> str:
    """Return the credentials of a user who may do everything in JetStream's account; programs have none such."""
    user, account = KeyPair.new(Owner.USER), authority.roles[BusRole.IDENTITY].account
    claims = {"type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1}
    return credentials_text(encode_jwt(account, user.public, "administrator", claims), user.seed)


@dataclass
class Actor:
    """A client that counts what the server refuses it."""

    client: Client
    errors: list[str]

    async def settle(self) -> None:
        """Wait until the server has processed what was sent, and its refusals are here: it answers in order.

        The first ping of nats.py overtakes what waits in its buffer.
        """
        await self.client.flush()
        await self.client.flush()

    async def is_refused(self) -> bool:
        """Return whether the server refused anything since the last call."""
        await self.settle()
        found, self.errors[:] = list(self.errors), []
        return any("permissions violation" in error for error in found)


@asynccontextmanager
async def acting(bus: BusOfRoles, role: BusRole, camera: ResourceKey | None = None) -> AsyncIterator[Actor]:
    """Connect as a user of a role, by nats.py alone: an attacker does not have to use our code."""
    errors: list[str] = []

    async def note(error: Exception) -> None:
        errors.append(str(error).lower())

    options: dict[str, Any] = connect_options(bus.address(role, camera).credentials)
    prefix = inbox_prefix(role, user_name(role, camera))
    client = await nats.connect(bus.url, inbox_prefix=prefix, error_cb=note, max_reconnect_attempts=-1, **options)
    try:
        yield Actor(client, errors)
    finally:
        await client.close()
