"""kopf itself, against a small API server that refuses or is gone: what the operator reports of it."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import kopf
import pytest
from aiohttp import web
from structlog.testing import capture_logs
from tests.support.waiting import eventually

from vigil_contracts.resources.common import GROUP, VERSION
from vigil_operator import handlers
from vigil_operator.kopf_requests import PLURALS, KopfRequests
from vigil_operator.metrics import Metrics

KINDS = f"/apis/{GROUP}/{VERSION}"
assert handlers.__all__  # kopf knows them once they are imported

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
clusters: [{{name: test, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: test, user: {{token: token}}}}]
"""


class ApiServer:
    """Serves Vigil's kinds without any object; `refuse` changes what it responds for one plural."""

    def __init__(self) -> None:
        self.refuse: Callable[[str], int] = lambda _: 200
        self.port = 0
        self.watched: set[str] = set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._respond)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        plural = request.path.rsplit("/", 1)[1]
        if plural in PLURALS and (status := self.refuse(plural)) != 200:
            return web.json_response({"kind": "Status", "message": "refused"}, status=status)
        if request.query.get("watch"):
            return await self._stream(request)
        if plural in PLURALS:
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
        return web.json_response(DISCOVERY.get(request.path, {}), status=200 if request.path in DISCOVERY else 404)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        plural = request.path.rsplit("/", 1)[1]
        self.watched.add(plural)
        while self.refuse(plural) == 200:
            await response.write(b"\n")
            await asyncio.sleep(0.05)
        return response


def described(plural: str) -> dict[str, Any]:
    return {"name": plural, "singularName": "", "kind": plural, "namespaced": True, "verbs": ["list", "watch"]}


DISCOVERY: dict[str, dict[str, Any]] = {
    "/version": {"major": "1"},
    "/api": {"versions": ["v1"]},
    "/api/v1": {"resources": [described("namespaces")]},
    "/apis": {
        "groups": [{"name": GROUP, "versions": [{"version": VERSION}], "preferredVersion": {"version": VERSION}}]
    },
    KINDS: {"resources": [described(plural) for plural in sorted(PLURALS)]},
}


class Program:
    """As much of the operator as its handlers call."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.kopf_requests = KopfRequests(self.metrics.kopf_errors)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def fail(self, error: Exception) -> None:
        raise error

    def observe(self, *_: object) -> None: ...

    def counted(self) -> dict[str, float]:
        samples = [sample for metric in self.metrics.kopf_errors.collect() for sample in metric.samples]
        return {sample.labels["error"]: sample.value for sample in samples if sample.name.endswith("_total")}


@pytest.fixture(autouse=True)
def abandoned_tasks_collected() -> Iterator[None]:
    """Collect kopf's failed watchers here: Python 3.11 fails when one is logged while another test parses code."""
    yield
    gc.collect()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence kopf, as the operator does."""
    logger = logging.getLogger("kopf")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@asynccontextmanager
async def watching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[ApiServer, Program]]:
    """Run kopf with the operator's handlers against a small API server."""
    server, program, stop = ApiServer(), Program(), asyncio.Event()
    await server.start()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG.format(port=server.port))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    with quiet():
        registry, memo = kopf.get_default_registry(), kopf.Memo(program=program)
        running = asyncio.create_task(kopf.operator(registry=registry, memo=memo, stop_flag=stop, clusterwide=True))
        try:
            await eventually(lambda: server.watched == PLURALS, 20, "kopf watches")
            yield server, program
        finally:
            stop.set()
            await asyncio.wait({running}, timeout=10)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await server.stop()


def outages(logs: list[Any]) -> list[str]:
    return [entry["event"] for entry in logs if entry["event"].startswith("kopf's requests")]


async def test_an_outage_is_logged_once_and_so_is_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as logs:
        async with watching(tmp_path, monkeypatch) as (server, program):
            await server.stop()
            await eventually(
                lambda: program.kopf_requests.error.count("kopf cannot request") == 3, 20, "all kinds fail"
            )
            error = program.kopf_requests.error
            assert f"kopf cannot request {KINDS}/cameras: ClientConnectorError: Cannot connect" in error
            assert "check that the API server runs" in error
            assert program.counted()["ClientConnectorError"] >= 3
            await server.start()
            await eventually(lambda: not program.kopf_requests.error, 20, "it watches again")
    assert outages(logs) == ["kopf's requests fail", "kopf's requests succeed again"]


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (403, "grant the operator's account get, list and watch"),
        (429, "kopf waits as long as it says"),
        (503, "check that the API server runs"),
    ],
)
async def test_one_refused_kind_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, advice: str
) -> None:
    with capture_logs() as logs:
        async with watching(tmp_path, monkeypatch) as (server, program):
            server.refuse = lambda plural: status if plural == "subjects" else 200
            await eventually(lambda: program.kopf_requests.error, 20, "it reports the refusal")
            error = program.kopf_requests.error
            assert f"kopf cannot request {KINDS}/subjects: HTTP {status}" in error
            assert advice in error
            assert "cameras" not in error
            assert set(program.counted()) == {f"HTTP {status}"}
            server.refuse = lambda _: 200
            await eventually(lambda: not program.kopf_requests.error, 20, "it watches again")
    assert outages(logs) == ["kopf's requests fail", "kopf's requests succeed again"]


async def test_a_removed_kind_ends_kopf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is closed before all of the watches have ended, and they must not wait for a new login."""
    server, program = ApiServer(), Program()
    await server.start()
    (tmp_path / "kubeconfig").write_text(KUBECONFIG.format(port=server.port))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with quiet():
        running = asyncio.create_task(kopf.operator(memo=kopf.Memo(program=program), clusterwide=True))
        await eventually(lambda: server.watched == PLURALS, 20, "kopf watches")
        server.refuse = lambda plural: 404 if plural == "cameras" else 200
        await asyncio.wait({running}, timeout=30)
        ended = running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert ended
    assert "HTTP 404 Not Found; install the CRDs" in program.kopf_requests.error
    await server.stop()


async def test_refused_credentials_end_kopf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same token is not tried without end; the process ends, and its last line has the reason."""
    server, program = ApiServer(), Program()
    server.refuse = lambda _: 401
    await server.start()
    (tmp_path / "kubeconfig").write_text(KUBECONFIG.format(port=server.port))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with quiet(), pytest.raises(kopf.LoginError):
        async with asyncio.timeout(20):
            await kopf.operator(memo=kopf.Memo(program=program), clusterwide=True)
    assert "HTTP 401 Unauthorized; grant" in program.kopf_requests.error
    await server.stop()


async def test_credentials_that_cannot_be_read_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise kopf tries again by itself, without a word."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("{current-context: absent, contexts: [], clusters: [], users: []}")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    program, stop = Program(), asyncio.Event()
    with quiet(), capture_logs() as logs:
        running = asyncio.create_task(kopf.operator(memo=kopf.Memo(program=program), stop_flag=stop, clusterwide=True))
        await eventually(lambda: program.kopf_requests.error, 10, "it reports the login")
        stop.set()
        await asyncio.wait({running}, timeout=10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert program.kopf_requests.error.startswith("kopf cannot request the login: ")
    assert "check the service account's token" in program.kopf_requests.error
    assert outages(logs) == ["kopf's requests fail"]
