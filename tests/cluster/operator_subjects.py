"""The real operator and the real identity around a test cluster, for the stories of Subjects and Sites."""

import asyncio
import base64
import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import nats
from tests.integration.gateway_identity.running import TOKEN, Process
from tests.support.databases import drop, migrated
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import Operator, settings
from tests.support.servers import NatsServer, PostgresServer, TritonServer
from tests.support.shared import shared
from tests.support.waiting import wait_until

from vigil_cli.standalone.servers.ports import LOOPBACK, free_port
from vigil_contracts.bus import streams
from vigil_operator.reconcile.subject.erasure import FINALIZER

SOON_S = 60.0
"""Two cores that also run a Kubernetes, Postgres, NATS and Triton."""


def photo(path: str) -> bytes:
    return (shared("faces") / path).read_bytes()


@dataclass
class Stage:
    """A namespace whose Subjects and Sites the operator takes care of.

    Attributes
    ----------
    site
        Name of the Site that identity serves.
    """

    cluster: ApiCluster
    namespace: str
    site: str
    operator: Operator
    identity: Process
    database_url: str
    registry_url: str

    def apply(self, kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> None:
        manifest = {
            "apiVersion": "vigil.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace, **metadata},
            "spec": spec,
        }
        self.cluster.apply(json.dumps(manifest))

    def subject(self, name: str, *keys: str, sha256: str | None = None, **spec: Any) -> None:
        """Apply a Subject with photos in the Secret of its name."""
        photos = [{"name": key.partition(".")[0], "secretKeyRef": {"name": name, "key": key}} for key in keys]
        if sha256 is not None:
            photos = [{**one, "sha256": sha256} for one in photos]
        consent = {"status": "Granted"}
        self.apply("Subject", name, {"displayName": name, "photos": photos, "consent": consent, **spec})

    def secret(self, name: str, **photos: bytes) -> None:
        """Put photos into a Secret: `one=bytes` under the key `one.jpg`."""
        data = {f"{key}.jpg": base64.b64encode(value).decode() for key, value in photos.items()}
        metadata = {**self._metadata(name), "labels": {"vigil.dev/readable-by": "Subject"}}
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
        self.cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(manifest))

    def config_map(self, name: str, **photos: bytes) -> None:
        data = {f"{key}.jpg": base64.b64encode(value).decode() for key, value in photos.items()}
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self._metadata(name), "binaryData": data}
        self.cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(manifest))

    def _metadata(self, name: str) -> dict[str, str]:
        return {"name": name, "namespace": self.namespace}

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.cluster.get(kind, name, self.namespace)

    def delete(self, kind: str, name: str) -> None:
        self.cluster.kubectl("delete", kind, name, "-n", self.namespace, "--wait=false")

    def exists(self, kind: str, name: str) -> bool:
        return self.cluster.kubectl("get", kind, name, "-n", self.namespace, check=False).returncode == 0

    def condition(self, kind: str, name: str, of: str = "Ready") -> dict[str, Any]:
        """Return a condition; empty while it is not there."""
        conditions = self.get(kind, name).get("status", {}).get("conditions", [])
        found: dict[str, Any] = next((one for one in conditions if one["type"] == of), {})
        return found

    def wait_for(self, kind: str, name: str, reason: str, of: str = "Ready") -> dict[str, Any]:
        """Wait until a condition has a reason for this generation, and give the object."""
        last: dict[str, Any] = {}

        def there() -> bool:
            nonlocal last
            last = self.get(kind, name)
            found = self.condition(kind, name, of)
            return found.get("reason") == reason and found["observedGeneration"] == last["metadata"]["generation"]

        try:
            wait_until(there, SOON_S, f"{kind} {name}: {of} is {reason}", poll_s=0.2)
        except AssertionError as error:
            output = f"{error}\n{json.dumps(last.get('status'), indent=1)}\n{self.operator.log[-3000:]}"
            raise AssertionError(output) from None
        return self.get(kind, name)

    def wait_gone(self, kind: str, name: str) -> None:
        try:
            wait_until(lambda: not self.exists(kind, name), SOON_S, f"{kind} {name} is gone", poll_s=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.operator.log[-3000:]}") from None

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the operator's events about an object, the oldest first."""
        output = self.cluster.kubectl("get", "events.events.k8s.io", "-n", self.namespace, "-o", "json").stdout
        found = [one for one in json.loads(output)["items"] if one["regarding"]["name"] == name]
        return sorted(found, key=lambda one: str(one["eventTime"]))

    def rows(self, sql: str, *args: object) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            connection = await asyncpg.connect(self.database_url)
            try:
                return [dict(row) for row in await connection.fetch(sql, *args)]
            finally:
                await connection.close()

        return asyncio.run(read())

    def registry(self, path: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        response = httpx.get(f"{self.registry_url}/registry/v1/{path}", headers=headers, timeout=10, trust_env=False)
        assert response.is_success, response.text
        found: dict[str, Any] = response.json()
        return found

    def start_identity(self) -> None:
        self.identity.start()
        wait_until(self._identity_ready, SOON_S, "identity is ready", poll_s=0.2)

    def _identity_ready(self) -> bool:
        try:
            return httpx.get(f"{self.registry_url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def puts(self, name: str) -> int:
        """Return how often identity registered a Subject."""
        lines = self.identity.log.splitlines()
        return sum('"subject registered"' in line and f'"{self.namespace}/{name}"' in line for line in lines)


@contextmanager
def stage(cluster: ApiCluster, postgres: PostgresServer, bus: NatsServer, triton: TritonServer) -> Iterator[Stage]:
    """Start all of it, and take all of it away."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="vigil-stage-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        cluster.install_crds()
        namespace, site = cluster.new_namespace("people"), f"site-{uuid.uuid4().hex[:8]}"
        url = asyncio.run(_database(postgres))
        stack.callback(lambda: asyncio.run(drop(postgres, url)))
        stack.callback(lambda: asyncio.run(_without_streams(bus, site)))
        port = free_port()
        identity = _identity(folder, bus, triton, url, site=site, http_port=port)
        wired = settings(
            cluster,
            namespace,
            VIGIL_SITE=site,
            VIGIL_NATS_URL=bus.url,
            VIGIL_NATS_TOKEN=bus.token,
            VIGIL_TRITON_URLS=triton.address,
            VIGIL_REGISTRY_URL=f"http://{LOOPBACK}:{port}",
            VIGIL_REGISTRY_TOKEN=TOKEN,
            VIGIL_LOG_FORMAT="json",
        )
        operator = Operator(folder, wired)
        made = Stage(cluster, namespace, site, operator, identity, url, f"http://{LOOPBACK}:{port}")
        stack.callback(_release, made)
        stack.callback(identity.kill)
        stack.callback(operator.kill)  # first: it puts a finalizer that is taken away back
        made.start_identity()
        operator.start()
        yield made


def _identity(folder: Path, bus: NatsServer, triton: TritonServer, url: str, **settings: Any) -> Process:
    return Process(
        folder,
        **settings,
        nats_url=bus.url,
        nats_token=bus.token,
        database_url=url,
        triton_urls=triton.address,
        qdrant_path=folder / "gallery",
    )


async def _database(postgres: PostgresServer) -> str:
    return await postgres.new_database(await migrated(postgres))


async def _without_streams(bus: NatsServer, site: str) -> None:
    client = await nats.connect(bus.url, token=bus.token)
    for stream in streams(site):  # each reserves its largest size of the server's disk
        with suppress(nats.js.errors.NotFoundError):
            await client.jetstream().delete_stream(stream.name)
    await client.close()


def _release(made: Stage) -> None:
    """Let go of Subjects that wait for an erasure which nobody will make any more."""
    output = made.cluster.kubectl("get", "subjects", "-n", made.namespace, "-o", "json", check=False).stdout
    for one in json.loads(output or "{}").get("items", []):
        if FINALIZER in one["metadata"].get("finalizers", []):
            patch = json.dumps({"metadata": {"finalizers": None}})
            name = one["metadata"]["name"]
            made.cluster.kubectl(
                "patch", "subject", name, "-n", made.namespace, "--type=merge", "-p", patch, check=False
            )
