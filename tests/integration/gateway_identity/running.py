"""Identity running in a test: the pipeline alone, the whole program in this process, or in one of its own."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from tests.integration.gateway_identity.making import body
from tests.support.servers import environment
from tests.support.waiting import eventually

from vigil_contracts import events
from vigil_contracts.bus import MSG_ID_HEADER, MessageKind, bus_subject, event_stream, streams
from vigil_contracts.events import Match, Sighting
from vigil_contracts.ids import ResourceKey
from vigil_gateway.identity.factory import GALLERY
from vigil_gateway.identity.incoming import Incoming
from vigil_gateway.identity.metrics import Metrics
from vigil_gateway.identity.pipeline import Pipeline, Stores
from vigil_gateway.identity.program import IdentityProgram
from vigil_gateway.identity.recorder import Outcome
from vigil_gateway.identity.replay import Replayer
from vigil_gateway.services.models import Models
from vigil_gateway.settings import IdentitySettings
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.qdrant.embedded import EmbeddedGallery
from vigil_runtime.bus import ensure_stream
from vigil_vision.faces.models import TritonFaceModels
from vigil_vision.triton import TritonClient

TOKEN = "registry-token-of-the-tests"
NOWHERE = "127.0.0.1:9"
"""Nothing listens there."""
DEADLINE_S = 30.0


def incoming(sighting: Sighting) -> Incoming:
    """Make the message that brings a sighting."""
    return Incoming(bus_subject(sighting.site, MessageKind.SIGHTING, sighting.camera.key), body(sighting))


@dataclass
class Bench:
    """The pipeline with a real database and a real gallery."""

    site: str
    url: str
    database: Database
    gallery: EmbeddedGallery
    models: Models
    pipeline: Pipeline
    replayer: Replayer
    metrics: Metrics

    async def process(self, *sightings: Sighting) -> list[Outcome]:
        return await self.pipeline.process([incoming(one) for one in sightings])


@contextlib.asynccontextmanager
async def bench(url: str, site: str, folder: Path) -> AsyncIterator[Bench]:
    database, gallery, metrics = Database(url, "test"), EmbeddedGallery(folder), Metrics()
    inference = TritonFaceModels(TritonClient([NOWHERE], deadline_s=1, shared_memory="off"))
    models = Models(GALLERY, database, gallery, inference)
    replayer = Replayer(database, lambda: list(models.known))
    pipeline = Pipeline(site, Stores(database, gallery, models), metrics, replayer)
    await database.open()
    await gallery.open()
    try:
        yield Bench(site, url, database, gallery, models, pipeline, replayer, metrics)
    finally:
        await gallery.close()
        inference.close()
        await database.close()


@dataclass
class Bus:
    """The bus as stream pods and gateways use it."""

    client: Client
    jetstream: JetStreamContext
    site: str

    async def publish(self, *sightings: Sighting) -> None:
        """Publish as a stream pod does."""
        for one in sightings:
            name = bus_subject(self.site, MessageKind.SIGHTING, one.camera.key)
            await self.jetstream.publish(name, body(one), headers={MSG_ID_HEADER: one.event_id})

    async def publish_raw(self, data: bytes, camera: str = "door") -> None:
        await self.jetstream.publish(bus_subject(self.site, MessageKind.SIGHTING, ResourceKey("default", camera)), data)

    async def matches(self) -> list[Match]:
        """Read all match events that the stream has, in its order."""
        found: list[Match] = []
        stream = event_stream(self.site).name
        info = await self.jetstream.stream_info(stream)
        for seq in range(info.state.first_seq or 1, info.state.last_seq + 1):
            with contextlib.suppress(nats.js.errors.NotFoundError):
                message = await self.jetstream.get_msg(stream, seq)
                if ".match." in (message.subject or ""):
                    found.append(events.decode(message.data or b"", Match))
        return found


@contextlib.asynccontextmanager
async def connect_bus(url: str, token: str, site: str) -> AsyncIterator[Bus]:
    client = await nats.connect(url, token=token, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    jetstream = client.jetstream()
    for stream in streams(site):
        await ensure_stream(jetstream, stream)
    try:
        yield Bus(client, jetstream, site)
    finally:
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            for stream in streams(site):  # each reserves its largest size of the server's disk
                await jetstream.delete_stream(stream.name)
        await client.close()


def make_settings(**given: Any) -> IdentitySettings:
    return IdentitySettings(**{"token": TOKEN, "triton_urls": NOWHERE, "inference_deadline_s": 5, **given})


@contextlib.asynccontextmanager
async def running_program(**given: Any) -> AsyncIterator[IdentityProgram]:
    """Run the program in this event loop."""
    program = IdentityProgram(make_settings(**given))
    task = asyncio.create_task(program.serve())
    try:
        await eventually(lambda: program.port or task.done(), DEADLINE_S, "identity listens")
        yield program
    finally:
        program.stopping.set()
        await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), DEADLINE_S)


def client_of(port: int, token: str = TOKEN) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=DEADLINE_S,
        trust_env=False,
    )


async def until_ready(port: int) -> None:
    """Wait until identity processes sightings."""
    last_response = ""
    async with client_of(port) as http:

        async def ready() -> bool:
            nonlocal last_response
            try:
                response = await http.get("/readyz")
            except httpx.HTTPError as error:
                last_response = repr(error)
                return False
            last_response = response.text
            return response.status_code == 200

        try:
            await eventually(ready, DEADLINE_S, "identity is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}: {last_response}") from None


class Process:
    """Identity in a process of its own, to be killed."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._log = folder / "identity.log"
        self._settings = {f"VIGIL_{name.upper()}": str(value) for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "vigil_gateway", "identity"],
                env={**environment(), "VIGIL_TOKEN": TOKEN, "VIGIL_TRITON_URLS": NOWHERE, **self._settings},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def terminate(self) -> int:
        """End it politely, and give its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(20)

    def wait(self) -> int:
        """Wait for its end, and give its exit status."""
        assert self._process is not None
        return self._process.wait(DEADLINE_S)

    @property
    def log(self) -> str:
        return self._log.read_text()
