"""The specs of Vigil's own programs."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from vigil_cli.standalone.desired import DesiredCamera, as_json
from vigil_cli.standalone.servers.ports import LOOPBACK, answers
from vigil_cli.standalone.state import Secrets, write_private
from vigil_cli.supervisor import ProcessSpec
from vigil_contracts.bus_permissions import BusRole, user_name
from vigil_contracts.ids import ResourceKey
from vigil_runtime.bus_authority import BusAuthority

PYTHON = (sys.executable, "-P")
"""With -P, a file such as numpy.py in the working folder is not imported."""

START_TIMEOUT_S = 60
"""On a busy machine the imports alone take seconds."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of the programs of one state folder.

    Attributes
    ----------
    triton
        host:port of gRPC, in order of preference.
    api_host
        Address on which the GraphQL API listens; all others listen on loopback.
    """

    nats: int
    postgres_url: str
    triton: tuple[str, ...]
    identity: int
    api: int
    api_host: str = LOOPBACK


HEALTH = "/healthz"
BUS = "bus"
"""Folder of the credentials of one program on the bus, or of those that run once."""


class Programs:
    """Specs of Vigil's programs in one state folder."""

    def __init__(self, root: Path, site: str, addresses: Addresses, secrets: Secrets, authority: BusAuthority) -> None:
        self._root = root.absolute()  # a path in an argument never begins with a dash
        self._addresses = addresses
        self._secrets = secrets
        self._authority = authority
        self._common = {"VIGIL_SITE": site, "PYTHONUNBUFFERED": "1"}

    def _bus(self, role: BusRole, folder: Path, camera: ResourceKey | None = None) -> dict[str, str]:
        """Make an identity on the bus, and return the settings of the one program that has it."""
        file = folder / f"{role}.creds"
        write_private(file, self._authority.credentials(role, user_name(role, camera)))
        return {
            "VIGIL_NATS_URL": f"nats://{LOOPBACK}:{self._addresses.nats}",
            "VIGIL_NATS_CREDENTIALS": str(file),
        }

    def migrate(self) -> ProcessSpec:
        """Return the spec of the migration of the database, which runs once."""
        environment = {**self._common, "VIGIL_DATABASE_URL": self._addresses.postgres_url}
        return ProcessSpec("migrate", [*PYTHON, "-m", "vigil_gateway", "migrate"], environment)

    def identity(self) -> ProcessSpec:
        """Return the spec of identity."""
        port = self._addresses.identity
        environment = {
            **self._common,
            **self._bus(BusRole.IDENTITY, self._root / BUS),
            "VIGIL_DATABASE_URL": self._addresses.postgres_url,
            **self._gallery(),
            "VIGIL_TRITON_URLS": ",".join(self._addresses.triton),
            "VIGIL_HTTP_HOST": LOOPBACK,
            "VIGIL_HTTP_PORT": str(port),
            "VIGIL_TOKEN": self._secrets.registry,
        }
        return ProcessSpec(
            "identity",
            [*PYTHON, "-m", "vigil_gateway", "identity"],
            environment,
            ready=lambda: answers(port, HEALTH),
            ready_timeout_s=START_TIMEOUT_S,
            after=("nats", "postgres", "triton"),
            stop_timeout_s=15,
        )

    def _gallery(self) -> dict[str, str]:
        """Return the settings of the gallery: the Qdrant server of the environment, else Qdrant inside identity."""
        return {} if os.environ.get("VIGIL_QDRANT_URL") else {"VIGIL_QDRANT_PATH": str(self._root / "qdrant")}

    def api(self) -> ProcessSpec:
        """Return the spec of the GraphQL API."""
        port = self._addresses.api
        environment = {
            **self._common,
            **self._bus(BusRole.API, self._root / BUS),
            "VIGIL_DATABASE_URL": self._addresses.postgres_url,
            "VIGIL_HTTP_HOST": self._addresses.api_host,
            "VIGIL_HTTP_PORT": str(port),
            "VIGIL_TOKEN": self._secrets.api,
        }
        return ProcessSpec(
            "api",
            [*PYTHON, "-m", "vigil_gateway", "api"],
            environment,
            ready=lambda: answers(port, HEALTH, self._addresses.api_host),
            ready_timeout_s=START_TIMEOUT_S,
            after=("nats", "postgres"),
            stop_timeout_s=15,
        )

    def stream(self, camera: DesiredCamera) -> ProcessSpec:
        """Write the files that the process of a camera reads; return its spec."""
        folder = self._root / "cameras" / camera.key.token
        file = folder / "camera.json"
        write_private(file, json.dumps(as_json(camera.resource)))
        state = folder / "state"
        state.mkdir(parents=True, exist_ok=True)
        environment = {
            **self._common,
            **self._bus(BusRole.STREAM, folder / BUS, camera.key),
            "VIGIL_TRITON_URLS": ",".join(self._addresses.triton),
            "VIGIL_STATE_DIR": str(state),
            "VIGIL_HTTP_PORT": "0",
            **self._credentials(folder / "credentials", camera),
        }
        port_file = state / "http.port"
        return ProcessSpec(
            stream_name(camera.key),
            [*PYTHON, "-m", "vigil_stream", "run", "--camera", str(file)],
            environment,
            ready=lambda: _stream_ready(port_file),
            ready_timeout_s=START_TIMEOUT_S,
            after=("nats", "triton"),
            stop_timeout_s=12,
            before_start=lambda: port_file.unlink(missing_ok=True),
        )

    def _credentials(self, folder: Path, camera: DesiredCamera) -> dict[str, str]:
        for old in folder.glob("*"):
            old.unlink()
        if not camera.credentials:
            return {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        for name, value in camera.credentials.items():
            write_private(folder / name, value)
        return {"VIGIL_SOURCE_CREDENTIALS_DIR": str(folder)}


def stream_name(key: ResourceKey) -> str:
    """Return the name of the process of a camera."""
    return f"stream-{key.token}"


def _stream_ready(port_file: Path) -> bool:
    try:
        return answers(int(port_file.read_text()), HEALTH)
    except (OSError, ValueError):
        return False
