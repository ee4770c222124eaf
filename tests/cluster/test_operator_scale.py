"""Many Cameras on pretended nodes: what it takes, printed; no assertion is timed.

A whole test run takes 200. `VIGIL_TEST_CAMERAS=1000 python -m pytest tests/cluster/test_operator_scale.py -s` shows the
figures of a thousand, on a machine that does nothing else.
"""

import asyncio
import datetime as dt
import os
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
import psutil
import pytest
from nats.aio.client import Client
from tests.support.kubernetes.kwok import KwokCluster
from tests.support.operators import NamespaceClient, Operator, camera, settings
from tests.support.servers import NatsServer
from tests.support.waiting import eventually
from tests.unit.operator.builders import beat

from vigil_contracts.bus import MessageKind, bus_subject
from vigil_contracts.conditions import SourceReason
from vigil_contracts.events import CameraRef, CameraState, encode_heartbeat
from vigil_contracts.ids import ResourceKey
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import Api, connect
from vigil_operator.kube.kinds import Kind
from vigil_operator.metrics import Metrics

pytestmark = pytest.mark.cluster

CAMERAS = int(os.environ.get("VIGIL_TEST_CAMERAS", "200"))
STEADY = max(20, CAMERAS // 10)
STEADY_PER_S = 5
AT_ONCE = 16
USER = "the-operator"


@dataclass
class Figures:
    """What was measured, in the order in which it was."""

    lines: list[str] = field(default_factory=list)

    def report(self, what: str, value: str) -> None:
        self.lines.append(f"{what}: {value}")
        print(f"\n  {what}: {value}", end="", flush=True)  # noqa: T201 - figures are what this test is for


class Usage:
    """Memory and processor time of a process between two moments."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._cpu, self._at = self._spent(), time.monotonic()

    def _spent(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def __str__(self) -> str:
        cpu, took = self._spent() - self._cpu, time.monotonic() - self._at
        memory = self._process.memory_info().rss / (1 << 20)
        return f"{cpu:.1f} s of a core in {took:.1f} s ({100 * cpu / took:.0f} %), {memory:.0f} MiB"


class Writer:
    """The cluster's API for a test that writes a thousand objects."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, namespace

    async def create(self, name: str) -> None:
        await self.api.create(Kind.CAMERA, camera(name, self.namespace))

    async def create_all(self, names: list[str]) -> None:
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with limit:
                await self.create(name)

        await asyncio.gather(*(one(name) for name in names))

    async def all(self, kind: Kind) -> list[dict[str, Any]]:
        return (await self.api.list(kind, self.namespace))[0]

    @asynccontextmanager
    async def tally(
        self, kind: Kind, *, phase: str | None = None, seen_first: Callable[[str], None] = lambda _: None
    ) -> AsyncIterator[dict[str, float]]:
        """Note when each Camera's object of a kind was first seen, by a watch: lists would burden what is measured."""
        seen: dict[str, float] = {}

        async def watch() -> None:
            async for _, obj in self.api.watch(kind, self.namespace, ""):
                name = obj["metadata"]["labels"]["vigil.dev/camera"]
                if name not in seen and (phase is None or obj.get("status", {}).get("phase") == phase):
                    seen[name] = time.monotonic()
                    seen_first(name)

        watching = asyncio.create_task(watch())
        try:
            yield seen
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


@asynccontextmanager
async def connected(cluster: KwokCluster, namespace: str) -> AsyncIterator[Writer]:
    api = Api(await connect(str(cluster.kubeconfig)), Cache(), Metrics())
    try:
        yield Writer(api, namespace)
    finally:
        await api.close()


class Beats:
    """Says for each camera that has begun that it streams, every two seconds, as its process would."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, name: str) -> None:
        """Send heartbeats of a camera from now on."""
        self._tasks[name] = asyncio.create_task(self._say(name))

    async def _say(self, name: str) -> None:
        ref = CameraRef(namespace=self._namespace, name=name)
        heartbeat = beat(CameraState.STREAMING, SourceReason.CONNECTED, camera=ref, session_id=name)
        subject = bus_subject("default", MessageKind.CAMERA, ResourceKey(self._namespace, name))
        while True:
            await self._client.publish(subject, encode_heartbeat(heartbeat, dt.datetime.now(dt.UTC)))
            await asyncio.sleep(2)

    async def close(self) -> None:
        """Fall silent."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._client.close()


@asynccontextmanager
async def heartbeats(server: NatsServer, namespace: str) -> AsyncIterator[Beats]:
    beats = Beats(await nats.connect(server.url, token=server.token), namespace)
    try:
        yield beats
    finally:
        await beats.close()


@pytest.mark.timeout(900)
async def test_many_cameras_cause_no_writes_and_no_restarts(
    kwok_cluster: KwokCluster, own_nats: NatsServer, tmp_path: Path
) -> None:
    """No write while nothing changes, and no restarted pod when the operator restarts."""
    await asyncio.to_thread(kwok_cluster.add_nodes, 12)
    ns = NamespaceClient.fresh(kwok_cluster, "scale")
    environment = settings(kwok_cluster, ns.namespace, VIGIL_NATS_URL=own_nats.url, VIGIL_NATS_TOKEN=own_nats.token)
    environment |= {"KUBECONFIG": str(kwok_cluster.kubeconfig_for(USER, ["system:masters"])), "VIGIL_LEASE_S": "15"}
    operator, figures = Operator(tmp_path, environment), Figures()
    try:
        await asyncio.to_thread(operator.start)
        await eventually(lambda: asyncio.to_thread(operator.leads), 60, "it leads")
        async with connected(kwok_cluster, ns.namespace) as api, heartbeats(own_nats, ns.namespace) as beats:
            await _at_once(api, operator, figures, beats)
            await _steadily(api, figures, beats)
            await _in_peace(kwok_cluster, operator, figures)
            await _restarted(kwok_cluster, operator, figures, api)
    finally:
        operator.kill()
    (tmp_path / "figures.txt").write_text("\n".join(figures.lines))


async def _at_once(api: Writer, operator: Operator, figures: Figures, beats: Beats) -> None:
    names = [f"cam-{number:04d}" for number in range(CAMERAS)]
    usage, started = Usage(operator.running.pid), time.monotonic()
    async with (
        api.tally(Kind.DEPLOYMENT) as made,
        api.tally(Kind.POD, phase="Running", seen_first=beats.begin) as running,
    ):
        await api.create_all(names)
        figures.report(f"{CAMERAS} Cameras at once, to be accepted", f"{time.monotonic() - started:.1f} s")
        await eventually(lambda: len(made) >= CAMERAS, 300, "a Deployment each")
        figures.report(f"to {CAMERAS} Deployments", f"{max(made.values()) - started:.1f} s")
        await eventually(lambda: len(running) >= CAMERAS, 300, "a running pod each")
        figures.report(f"to {CAMERAS} running pods", f"{max(running.values()) - started:.1f} s")
    await eventually(lambda: _streaming(operator, CAMERAS), 240, "every Camera streams", poll_s=1)
    figures.report(f"to {CAMERAS} Cameras that are Ready", f"{time.monotonic() - started:.1f} s")
    figures.report("operator, busy", str(usage))


async def _steadily(api: Writer, figures: Figures, beats: Beats) -> None:
    """Apply some more at a steady rate, and see when the Deployment of each is there."""
    made: dict[str, float] = {}
    async with api.tally(Kind.DEPLOYMENT) as seen:
        await eventually(lambda: len(seen) >= CAMERAS, 60, "the watch has begun")
        more = [f"more-{number:03d}" for number in range(STEADY)]
        for name in more:
            made[name] = time.monotonic()
            await api.create(name)
            beats.begin(name)
            await asyncio.sleep(1 / STEADY_PER_S)
        await eventually(lambda: set(more) <= set(seen), 60, "a Deployment each")
    took = sorted(seen[name] - made[name] for name in more)
    figures.report(
        f"apply to Deployment at {STEADY_PER_S} a second",
        f"median {1000 * statistics.median(took):.0f} ms, p95 {1000 * took[int(len(took) * 0.95)]:.0f} ms",
    )


async def _in_peace(cluster: KwokCluster, operator: Operator, figures: Figures) -> None:
    await eventually(lambda: _streaming(operator, CAMERAS + STEADY), 240, "every Camera streams", poll_s=1)
    mark = cluster.audit_size()
    await _quiet(cluster, mark)
    mark, usage, before = cluster.audit_size(), Usage(operator.running.pid), _reconciles(operator)
    await asyncio.sleep(60)
    requests = [one for one in cluster.requests(mark) if one.user == USER]
    writes = [one for one in requests if one.is_write and one.resource != "leases"]
    reconciles = _reconciles(operator) - before
    figures.report("idle minute, operator", str(usage))
    figures.report(
        "idle minute, requests",
        f"{len(writes)} writes beside the Lease's {sum(one.resource == 'leases' for one in requests)}, "
        f"{sum(not one.is_write for one in requests)} reads, {reconciles:.0f} reconciles",
    )
    assert [f"{one.verb} {one.resource} {one.name}" for one in writes] == []
    assert reconciles < 50


async def _streaming(operator: Operator, cameras: int) -> bool:
    return await asyncio.to_thread(operator.metric, 'vigil_operator_cameras{reason="Streaming"}') == cameras


def _reconciles(operator: Operator) -> float:
    return operator.metric("vigil_operator_reconciles_total")


async def _quiet(cluster: KwokCluster, mark: int) -> None:
    last, since, end = -1, time.monotonic(), time.monotonic() + 120
    while time.monotonic() - since < 5:
        assert time.monotonic() < end, "it never becomes quiet"
        now = sum(one.user == USER and one.is_write and one.resource != "leases" for one in cluster.requests(mark))
        if now != last:
            last, since = now, time.monotonic()
        await asyncio.sleep(0.5)


async def _restarted(cluster: KwokCluster, operator: Operator, figures: Figures, api: Writer) -> None:
    """Kill it, start it again, and wait until every Camera has its conditions again; no pod may have been touched."""
    before = {pod["metadata"]["uid"] for pod in await api.all(Kind.POD)}
    mark, started = cluster.audit_size(), time.monotonic()
    operator.kill()
    await asyncio.to_thread(operator.start)
    await eventually(lambda: _streaming(operator, CAMERAS + STEADY), 240, "every Camera has conditions", poll_s=0.5)
    figures.report(
        "killed, started, to conditions of every Camera",
        f"{time.monotonic() - started:.1f} s, of which 15 s wait for the Lease",
    )
    children = [
        one
        for one in cluster.requests(mark)
        if one.user == USER
        and one.is_write
        and one.resource in {"deployments", "configmaps", "pods", "networkpolicies"}
    ]
    assert children == []
    assert {pod["metadata"]["uid"] for pod in await api.all(Kind.POD)} == before
