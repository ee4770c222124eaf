"""Subjects whose photos are at addresses, enrolled as `vigil up` does it: real photos, identity, models and HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.gateway_identity.running import TOKEN, until_ready
from tests.support.servers import TritonServer
from tests.support.shared import shared
from tests.support.waiting import eventually
from tests.unit.cli.applying import an_applier, registry_of
from tests.unit.cli.photo_server import photo_server

from vigil_cli.manifests import load
from vigil_cli.standalone.desired import desired
from vigil_contracts.registry import EnrolmentReport
from vigil_runtime.registry.client import RegistryClient

pytestmark = pytest.mark.integration

DEADLINE_S = 60
SUBJECT = """
apiVersion: vigil.dev/v1alpha1
kind: Subject
metadata: {{name: joe}}
spec: {{displayName: Joe, consent: {{status: Granted}}, photos: [{photo}]}}
"""


@contextlib.asynccontextmanager
async def one_run(registry: RegistryClient, folder: Path) -> AsyncIterator[list[EnrolmentReport]]:
    """Apply the manifests of a folder while inside; yield the reports of enrolments."""
    reports: list[EnrolmentReport] = []
    made = an_applier(registry, folder, reports)
    made.set_desired(desired(load([folder]), "any"))
    task = asyncio.create_task(made.run())
    yield reports
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_person_stays_enrolled_while_the_address_is_away(
    identity: Callable[..., Any], open_triton: TritonServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A photo that appears later is enrolled without a change of a manifest."""
    data = (shared("faces") / "joe-biden" / "1.jpg").read_bytes()
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    program = await identity(triton_urls=open_triton.address)
    await until_ready(program.port)
    async with (
        registry_of(f"http://127.0.0.1:{program.port}", TOKEN) as registry,
        photo_server(tmp_path / "pki", monkeypatch) as server,
    ):
        (manifests / "joe.yaml").write_text(SUBJECT.format(photo=server.reference("front", data)))
        async with one_run(registry, manifests) as reports:
            await eventually(lambda: reports and len(server.asked) > 1, DEADLINE_S, "it was tried more than once")
            assert [(report.enrolled, report.photos[0].reason) for report in reports] == [(False, "NotFound")]
            server.there["front"] = data  # without any change of a manifest
            await eventually(lambda: len(reports) == 2, DEADLINE_S, "he is reported again")
            assert reports[1].enrolled
        await server.stop()
        async with one_run(registry, manifests) as reports:
            await eventually(lambda: reports, DEADLINE_S, "he is enrolled at the next start")
            assert (reports[0].enrolled, reports[0].photos[0].accepted) == (True, True)
            assert (await registry.status()).vectors == 1
