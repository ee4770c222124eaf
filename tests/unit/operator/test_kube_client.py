"""What the client makes of an API server's answers; asked of a small one over HTTP."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import Api, ConfigError, connect
from vigil_operator.kube.errors import (
    AwayError,
    ConflictError,
    DeniedError,
    GoneError,
    InvalidError,
    KubeError,
    NotFoundError,
)
from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.metrics import Metrics

CAMERA = Key(Kind.CAMERA, "tenant", "front")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def api_that(answer: Answer) -> AsyncIterator[Api]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api = Api(ApiClient(Configuration(f"http://127.0.0.1:{runner.addresses[0][1]}")), Cache(), Metrics())
    try:
        yield api
    finally:
        await api.close()
        await runner.cleanup()


def status(code: int, message: str, **details: Any) -> dict[str, Any]:
    return {"kind": "Status", "code": code, "message": message, "details": details}


def pod(name: str, version: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "tenant", "resourceVersion": version}}


@pytest.mark.parametrize(
    ("code", "body", "error", "message"),
    [
        (400, status(400, "no such patch"), InvalidError, "no such patch"),
        (401, status(401, "Unauthorized"), DeniedError, "Unauthorized"),
        (403, status(403, "pods is forbidden"), DeniedError, "pods is forbidden"),
        (404, status(404, "not found", name="front"), NotFoundError, "not found"),
        (409, status(409, "conflict"), ConflictError, "conflict"),
        (410, status(410, "too old"), GoneError, "too old"),
        (422, status(422, "spec.source: required"), InvalidError, "spec.source: required"),
        (429, status(429, "slow down", retryAfterSeconds=7), AwayError, "slow down (429)"),
        (503, status(503, "shutting down"), AwayError, "shutting down (503)"),
        (404, "404 page not found", NotFoundError, "HTTP 404"),
        (502, "<html>a proxy</html>", AwayError, "HTTP 502; check that no proxy"),
        (200, "<html>a proxy</html>", AwayError, "the API server cannot be reached: JSONDecodeError"),
    ],
)
async def test_an_answer_becomes_its_error(code: int, body: Any, error: type[KubeError], message: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(text=text, status=code, content_type="application/json")

    async with api_that(answer) as api:
        with pytest.raises(error) as raised:
            await api.get(CAMERA)
    assert str(raised.value).startswith(message)
    if isinstance(raised.value, NotFoundError):
        assert raised.value.name == ("front" if isinstance(body, dict) else "")
    assert raised.value.retry_after_s == (7 if code == 429 else None)


async def test_a_conflict_names_the_fields_and_their_owners() -> None:
    causes = [{"reason": "FieldManagerConflict", "message": 'conflict with "rival"', "field": ".spec.replicas"}]

    async def answer(request: web.Request) -> web.Response:
        assert request.query == {"fieldManager": "vigil-operator", "force": "false"}
        assert request.headers["Content-Type"] == "application/apply-patch+yaml"
        return web.json_response(status(409, "Apply failed", causes=causes), status=409)

    async with api_that(answer) as api:
        with pytest.raises(ConflictError) as raised:
            await api.apply(Kind.POD, pod("front", "1"), force=False)
    assert raised.value.fields == ('.spec.replicas: conflict with "rival"',)


async def test_a_server_that_is_not_there_is_away() -> None:
    api = Api(ApiClient(Configuration("http://127.0.0.1:9")), Cache(), Metrics())
    with pytest.raises(AwayError, match="the API server cannot be reached"):
        await api.get(CAMERA)
    await api.close()


async def test_a_name_stays_one_part_of_the_path() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.raw_path == "/apis/coordination.k8s.io/v1/namespaces/tenant/leases/..%2F..%2Fsecrets"
        return web.json_response(status(404, "not found"), status=404)

    async with api_that(answer) as api:
        with pytest.raises(NotFoundError):
            await api.get(Key(Kind.LEASE, "tenant", "../../secrets"))


async def test_a_list_is_read_page_by_page() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.path == "/api/v1/pods"
        assert request.query["labelSelector"] == "app=stream,tier!=x"
        more = "continue" not in request.query
        metadata = {"resourceVersion": "9"} | ({"continue": "next=="} if more else {})
        return web.json_response({"metadata": metadata, "items": [pod("a", "1")] if more else [pod("b", "2")]})

    async with api_that(answer) as api:
        objects, version = await api.list(Kind.POD, None, labels="app=stream,tier!=x")
    assert [one["metadata"]["name"] for one in objects] == ["a", "b"]
    assert version == "9"


async def test_a_watch_that_ends_goes_on_after_its_last_change() -> None:
    begun: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        begun.append(request.query["resourceVersion"])
        assert request.query["watch"] == "true"
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        await stream.prepare(request)
        events: list[tuple[str, dict[str, Any]]] = [("ADDED", pod("a", "5")), ("DELETED", pod("a", "6"))]
        if len(begun) > 1:
            events = [("ERROR", status(410, "too old"))]
        for what, obj in events:
            await stream.write(json.dumps({"type": what, "object": obj}).encode() + b"\n")
        return stream

    async with api_that(answer) as api, aclosing(api.watch(Kind.POD, "tenant", "4")) as changes:
        seen = [await anext(changes), await anext(changes)]
        with pytest.raises(GoneError, match="too old"):
            await anext(changes)
    assert seen == [("ADDED", pod("a", "5")), ("DELETED", pod("a", "6"))]
    assert begun == ["4", "6"]


async def test_a_kubeconfig_is_read_and_named_when_it_is_absent(tmp_path: Path) -> None:
    config = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": "https://kube.example:6443"}}],
        "users": [{"name": "a", "user": {"token": "secret"}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    client = await connect(str(tmp_path / "config"))
    assert client.configuration.host == "https://kube.example:6443"
    await client.close()
    with pytest.raises(ConfigError, match=rf"no API server is configured by {tmp_path}/absent "):
        await connect(str(tmp_path / "absent"))
