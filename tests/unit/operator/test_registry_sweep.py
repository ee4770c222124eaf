"""Deletions without an operator are repeated at identity, and nothing else is; over real HTTP servers."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration
from structlog.testing import capture_logs
from tests.unit.operator.contexts import context_of

from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import AwayError
from vigil_operator.kube.kinds import Kind
from vigil_operator.metrics import Metrics
from vigil_operator.reconcile.registry_sweep import RegistrySweep
from vigil_operator.reconcile.subject.reconciler import SubjectReconciler
from vigil_operator.registry.identity_status import IdentityStatus
from vigil_runtime.registry.client import RegistryClient as Registry

GONE, HERE, ELSE, LEFT = (str(uuid.UUID(int=number)) for number in (1, 2, 3, 4))
OURS, THEIRS = uuid.UUID(int=8), uuid.UUID(int=9)


class Servers:
    """Identity and the API server at one address."""

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.knows_kind = True
        self.unseen: set[str] = set()

    async def handle(self, request: web.Request) -> web.Response:
        path = request.path
        if request.method == "DELETE":
            self.deleted.append(request.path_qs.removeprefix("/registry/v1/"))
            return web.json_response({"erasedAt": "2026-05-01T12:00:00Z"})
        if path.startswith("/registry"):
            ours, theirs = str(OURS), str(THEIRS)
            keys = [
                ("tenant", "gone", GONE, ours),
                ("tenant", "here", HERE, theirs),
                ("tenant", "of-another", LEFT, theirs),
                ("tenant", "of-unknown", LEFT, None),
                ("other", "gone", ELSE, ours),
                ("tenant", "cli", None, None),
            ]
            names = ("namespace", "name", "uid", "registrar")
            return web.json_response({"items": [dict(zip(names, key, strict=True)) for key in keys]})
        if not self.knows_kind:
            return web.json_response({"kind": "Status", "code": 404, "message": "no such kind"}, status=404)
        if name := path.partition("/subjects/")[2]:
            if name in self.unseen:
                return web.json_response({"metadata": {"name": name, "namespace": "tenant", "uid": GONE}})
            missing = {"kind": "Status", "code": 404, "message": "not found", "details": {"name": name}}
            plain = {"Content-Type": "application/json"}  # an API server names no charset
            return web.Response(body=json.dumps(missing).encode(), status=404, headers=plain)
        here = {"metadata": {"name": "here", "namespace": "tenant", "uid": HERE, "resourceVersion": "1"}}
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": [here] if "tenant" in path else []})


@pytest.fixture
async def swept() -> AsyncIterator[tuple[Servers, RegistrySweep, SubjectReconciler]]:
    servers, app, cache = Servers(), web.Application(), Cache()
    app.router.add_route("*", "/{path:.*}", servers.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    away = context_of(cache)
    await away.api.close()
    settings: Any = away.settings.model_copy(update={"namespaces": "tenant"})
    context = replace(away, settings=settings, api=Api(ApiClient(Configuration(url)), cache, Metrics()))
    registry = Registry(url, "token")
    registry.registrar = OURS
    subjects = SubjectReconciler(context, registry, IdentityStatus(registry, lambda: None))
    yield servers, RegistrySweep(context, registry, subjects), subjects
    await subjects.close()
    await registry.close()
    await context.api.close()
    await runner.cleanup()


@pytest.mark.parametrize("kind", [Kind.CAMERA, Kind.SITE])
async def test_only_own_registrations_that_are_gone_are_removed(
    swept: tuple[Servers, RegistrySweep, SubjectReconciler], kind: Kind
) -> None:
    servers, sweep, _ = swept
    assert [key.name for key in await sweep.sweep(kind)] == ["gone"]
    assert servers.deleted == [f"{kind.lower()}s/tenant/gone?uid={GONE}"]


@pytest.mark.parametrize("registrar", [uuid.UUID(int=7), None])
async def test_a_rebuilt_cluster_removes_nothing_and_logs_one_line(
    swept: tuple[Servers, RegistrySweep, SubjectReconciler], registrar: uuid.UUID | None
) -> None:
    """The line names the entries that are kept."""
    servers, sweep, _ = swept
    sweep._registry.registrar = registrar
    with capture_logs() as logged:
        assert await sweep.sweep(Kind.SUBJECT) == []
    assert servers.deleted == []
    (line,) = logged
    assert line["log_level"] == "warning"
    assert "3 Subjects that are not in this cluster" in line["event"]
    assert "to erase a person, apply the Subject and delete it" in line["event"]
    assert line["names"] == "tenant/gone, tenant/of-another, tenant/of-unknown"


async def test_a_subject_is_erased_by_its_own_reconcile(
    swept: tuple[Servers, RegistrySweep, SubjectReconciler],
) -> None:
    servers, sweep, subjects = swept
    [key] = await sweep.sweep(Kind.SUBJECT)
    assert servers.deleted == []
    assert (await subjects.reconcile(key)).outcome == "Changed"
    assert servers.deleted == [f"subjects/tenant/gone?uid={GONE}"]


async def test_no_subject_is_erased_while_it_may_exist(
    swept: tuple[Servers, RegistrySweep, SubjectReconciler],
) -> None:
    """It exists, or the API server does not serve the kind."""
    servers, sweep, subjects = swept
    [key] = await sweep.sweep(Kind.SUBJECT)
    servers.knows_kind = False
    for _ in range(2):
        with pytest.raises(AwayError, match="serves no subjects"):
            await subjects.reconcile(key)
    servers.knows_kind, servers.unseen = True, {"gone"}
    again = await subjects.reconcile(key)
    assert (again.outcome, again.again_s is not None) == ("Waiting", True)
    assert servers.deleted == []
    servers.unseen.clear()
    assert (await subjects.reconcile(key)).outcome == "Changed"
    assert servers.deleted == [f"subjects/tenant/gone?uid={GONE}"]
    assert (await subjects.reconcile(key)).outcome == "Gone"
    assert len(servers.deleted) == 1


async def test_an_unserved_kind_removes_nothing(
    swept: tuple[Servers, RegistrySweep, SubjectReconciler],
) -> None:
    servers, sweep, _ = swept
    servers.knows_kind = False
    assert [await sweep.sweep(kind) for kind in (Kind.CAMERA, Kind.SITE, Kind.SUBJECT)] == [[], [], []]
    assert servers.deleted == []
