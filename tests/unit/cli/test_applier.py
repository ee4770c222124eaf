"""The registry follows the manifests."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.waiting import eventually
from tests.unit.cli.applying import (
    CAMERA,
    LOBBY,
    PHOTO,
    SITE,
    SUBJECTS,
    Identity,
    Problem,
    Started,
    an_applier,
    apply_once,
    applying,
    registry_of,
    serving,
    wanted,
)

from vigil_cli.manifests import load
from vigil_cli.standalone import applier, progress
from vigil_cli.standalone.desired import Desired, desired
from vigil_cli.standalone.programs import Addresses, Programs
from vigil_cli.standalone.state import Secrets
from vigil_contracts.ids import ResourceKey
from vigil_runtime.bus_authority import BusAuthority


@pytest.fixture
def identity() -> Iterator[Identity]:
    with serving() as server:
        yield server


async def test_a_site_is_registered_changed_and_deleted(identity: Identity, tmp_path: Path) -> None:
    """The Site of an earlier run is deleted at the next start, when no manifest declares it."""
    path = "/registry/v1/sites/shop/hq"
    async with registry_of(f"http://127.0.0.1:{identity.server_port}", "token") as registry:
        await apply_once(registry, tmp_path, SITE)
        assert identity.sites[path].spec.retention.sightings == "30d"
        await apply_once(registry, tmp_path, SITE.replace("30d", "7d"))
        assert identity.sites[path].spec.retention.sightings == "7d"
        await apply_once(registry, tmp_path, "# none")
        assert identity.sites == {}


def retention(identity: Identity, path: str) -> str | None:
    return identity.sites[path].spec.retention.sightings if path in identity.sites else None


async def test_a_failed_item_is_reported_and_retried(identity: Identity, tmp_path: Path) -> None:
    """It delays no other item meanwhile."""
    manifest, in_the_way = tmp_path / "a.yaml", tmp_path / "cameras"
    in_the_way.write_text("a file where a folder belongs")
    manifest.write_text(CAMERA + SITE)
    problems: list[Problem] = []
    async with registry_of(f"http://127.0.0.1:{identity.server_port}", "token") as registry:
        made = an_applier(registry, tmp_path, problems=problems)
        assert isinstance(made.supervisor, Started)
        made.set_desired(desired(load([manifest]), "new@1"))
        made.start_streams()
        task = asyncio.create_task(made.run())
        await eventually(lambda: problems, 10, "it is reported")
        manifest.write_text(CAMERA + SITE.replace("30d", "7d"))
        made.set_desired(desired(load([manifest]), "new@1"))
        path = "/registry/v1/sites/shop/hq"
        await eventually(lambda: retention(identity, path) == "7d", 10, "the Site is changed")
        assert not made.settled

        in_the_way.unlink()

        assert await made.settle(30)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [spec.name for spec in made.supervisor.specs] == ["stream-default_lobby"]
    assert [(kind, key) for kind, key, _ in problems] == [("stream", LOBBY)] * 2
    assert [problem for _, _, problem in problems] == [
        f"Not a directory: {in_the_way}/default_lobby; it is tried again",
        "",
    ]


async def test_a_failed_item_that_is_not_wanted_is_no_problem(identity: Identity, tmp_path: Path) -> None:
    (tmp_path / "cameras").write_text("a file where a folder belongs")
    (tmp_path / "a.yaml").write_text(CAMERA)
    problems: list[Problem] = []
    async with registry_of(f"http://127.0.0.1:{identity.server_port}", "token") as registry:
        made = an_applier(registry, tmp_path, problems=problems)
        made.set_desired(desired(load([tmp_path]), "new@1"))
        made.start_streams()
        task = asyncio.create_task(made.run())
        await eventually(lambda: problems, 10, "it is reported")

        made.set_desired(Desired())

        assert problems[-1] == ("stream", LOBBY, "")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


REFUSED = ("camera", LOBBY, "identity's registry refuses the request: it is wrong (422)")
OVER = ("camera", LOBBY, "")


async def test_a_refused_item_is_retried_when_it_is_put_back(identity: Identity, tmp_path: Path) -> None:
    """It is reported again too."""
    camera = wanted(tmp_path, CAMERA)
    identity.refusing = True
    async with applying(identity, tmp_path) as (made, problems):
        made.set_desired(camera)
        await eventually(lambda: problems == [REFUSED], 10, "it is reported")
        made.set_desired(camera)
        assert made.settled

        made.set_desired(Desired())
        assert problems == [REFUSED, OVER]
        made.set_desired(camera)

        await eventually(lambda: problems == [REFUSED, OVER, REFUSED], 10, "it is reported again")
        assert len(identity.put) == 2


async def test_a_refused_change_is_a_problem_while_it_is_wanted(identity: Identity, tmp_path: Path) -> None:
    """It is no problem once it is reverted, and is one when it is made again."""
    camera, changed = wanted(tmp_path, CAMERA), wanted(tmp_path, CAMERA.replace("10.0.0.5", "10.0.0.6"))
    async with applying(identity, tmp_path) as (made, problems):
        made.set_desired(camera)
        assert await made.settle(10)
        identity.refusing = True
        made.set_desired(changed)
        await eventually(lambda: problems == [REFUSED], 10, "it is reported")

        made.set_desired(camera)
        assert made.settled
        assert problems == [REFUSED, OVER]
        made.set_desired(changed)

        await eventually(lambda: problems == [REFUSED, OVER, REFUSED], 10, "it is reported again")


async def test_a_late_refusal_is_no_problem(identity: Identity, tmp_path: Path) -> None:
    """The item is no longer wanted when the refusal comes."""
    camera = wanted(tmp_path, CAMERA)
    identity.refusing = True
    async with applying(identity, tmp_path) as (made, problems):
        before = len(asyncio.all_tasks())
        identity.answering.clear()
        made.set_desired(camera)
        await eventually(lambda: identity.put, 10, "it is tried")
        made.set_desired(Desired())
        identity.answering.set()
        await eventually(lambda: len(asyncio.all_tasks()) == before, 10, "it was refused")
        assert problems == []

        identity.refusing = False
        made.set_desired(camera)

        assert await made.settle(10)
        assert problems == []


async def test_an_unfinished_enrolment_is_erased_at_the_next_start(identity: Identity, tmp_path: Path) -> None:
    """Vigil ended while identity worked on it, and no manifest declares the Subject any more."""
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    identity.answering.clear()
    async with applying(identity, tmp_path) as (made, _):
        made.set_desired(wanted(tmp_path, SUBJECTS.split("---", maxsplit=1)[0]))
        await eventually(lambda: identity.put, 10, "identity works on it")
    identity.answering.set()

    async with applying(identity, tmp_path) as (made, _):
        made.set_desired(Desired())
        assert await made.settle(10)

    assert identity.removed == ["ada"]


async def test_a_manifest_that_is_back_soon_erases_nobody(identity: Identity, tmp_path: Path) -> None:
    """An editor, or a copy, removes a file for a moment before it writes the new one."""
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    ada = wanted(tmp_path, SUBJECTS.split("---", maxsplit=1)[0])
    async with applying(identity, tmp_path) as (made, _):
        made.set_desired(ada)
        assert await made.settle(10)
        made.set_desired(Desired())
        made.set_desired(wanted(tmp_path, SITE))
        await eventually(lambda: identity.sites, 10, "what remains is applied meanwhile")
        made.set_desired(ada)
        assert await made.settle(10)

    assert identity.put == [("ada", "old@1")]
    assert "ada" not in identity.removed


async def test_a_subject_is_erased_some_time_after_its_manifest(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applier, "ERASE_AFTER_S", 0.3)
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    async with applying(identity, tmp_path) as (made, _):
        made.set_desired(wanted(tmp_path, SUBJECTS.split("---", maxsplit=1)[0]))
        assert await made.settle(10)
        assert applier.applied_subjects(made.applied_file) == [ResourceKey("default", "ada")]
        made.set_desired(Desired())

        await eventually(lambda: identity.removed == ["ada"], 10, "it is erased")
        await eventually(lambda: applier.applied_subjects(made.applied_file) == [], 10, "nobody is left")


async def test_a_reverted_change_is_sent_again(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed change may have been applied by the registry nevertheless."""
    monkeypatch.setattr(progress, "backoff_s", lambda *_: 3600.0)
    camera, changed = wanted(tmp_path, CAMERA), wanted(tmp_path, CAMERA.replace("10.0.0.5", "10.0.0.6"))
    async with applying(identity, tmp_path) as (made, _):
        made.set_desired(camera)
        assert await made.settle(10)
        identity.failing = True
        before = len(asyncio.all_tasks())
        made.set_desired(changed)
        await eventually(lambda: len(identity.put) == 2, 10, "it is tried")
        await eventually(lambda: len(asyncio.all_tasks()) == before, 10, "it failed")
        identity.failing = False

        made.set_desired(camera)

        await eventually(lambda: len(identity.put) == 3, 10, "it is sent again")


def test_a_camera_gets_its_credentials_as_they_are_in_the_secret(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CAMERA)
    camera = desired(load([tmp_path]), "m@1").cameras[LOBBY]
    programs = Programs(tmp_path, "hq", Addresses(1, "", (), 1, 1), Secrets("", "", ""), BusAuthority.new())

    spec = programs.stream(replace(camera, credentials={"username": b"viewer", "password": "ü".encode("latin-1")}))

    folder = Path(spec.env["VIGIL_SOURCE_CREDENTIALS_DIR"])
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {"username": b"viewer", "password": b"\xfc"}
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


def test_each_program_gets_its_own_identity_on_the_bus_only(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CAMERA)
    camera = desired(load([tmp_path]), "m@1").cameras[LOBBY]
    programs = Programs(tmp_path, "hq", Addresses(1, "", (), 1, 1), Secrets("", "", ""), BusAuthority.new())

    specs = [programs.identity(), programs.api(), programs.stream(camera)]

    files = [Path(spec.env["VIGIL_NATS_CREDENTIALS"]) for spec in specs]
    assert len({file.read_text() for file in files}) == len(specs)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    for spec in (*specs, programs.migrate()):
        assert "VIGIL_NATS_TOKEN" not in spec.env
    assert not [name for name in programs.migrate().env if "NATS" in name], "the migration does not use the bus"
