"""Subjects are enrolled with the served model, and again when another one is served."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.waiting import eventually
from tests.unit.cli.applying import PHOTO, SUBJECTS, Identity, an_applier, applying, registry_of, serving, wanted

from vigil_cli.manifests import load
from vigil_cli.standalone import applier, progress
from vigil_cli.standalone.desired import desired
from vigil_contracts.registry import EnrolmentReport


@pytest.fixture
def identity() -> Iterator[Identity]:
    with serving() as server:
        yield server


async def test_subjects_are_put_again_when_another_model_is_served(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applier, "MODEL_POLL_S", 0.01)
    (tmp_path / "a.yaml").write_text(SUBJECTS)
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    reports: list[EnrolmentReport] = []
    async with registry_of(f"http://127.0.0.1:{identity.server_port}", "token") as registry:
        made = an_applier(registry, tmp_path, reports)
        made.set_desired(desired(load([tmp_path]), "new@1"))
        tasks = [asyncio.create_task(made.run()), asyncio.create_task(made.follow_model())]
        await eventually(lambda: len(reports) == 2, 10, "both were put")
        before = identity.asked
        await eventually(lambda: identity.asked > before + 3, 10, "the model was asked for")
        assert len(identity.put) == 2

        identity.model_id = "new@1"

        await eventually(lambda: ("ada", "new@1") in identity.put, 10, "she is put again")
        before = identity.asked
        await eventually(lambda: identity.asked > before + 3, 10, "the model was asked for")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert sorted(identity.put) == [("ada", "new@1"), ("ada", "old@1"), ("bob", "old@1")]


@pytest.fixture
def many_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applier, "MODEL_POLL_S", 0.01)


async def several_looks(identity: Identity) -> None:
    before = identity.asked
    await eventually(lambda: identity.asked > before + 5, 10, "the model is asked for")


@pytest.mark.usefixtures("many_looks")
async def test_a_subject_refused_with_a_new_model_is_sent_once(identity: Identity, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    async with applying(identity, tmp_path) as (made, problems):
        made.set_desired(wanted(tmp_path, SUBJECTS.split("---", maxsplit=1)[0]))
        assert await made.settle(10)
        following = asyncio.create_task(made.follow_model())
        identity.refusing, identity.model_id = True, "new@1"
        await eventually(lambda: problems, 10, "it is reported")
        await several_looks(identity)
        assert identity.put == [("ada", "old@1"), ("ada", "new@1")]
        assert len(problems) == 1

        identity.refusing, identity.model_id = False, "newer@1"

        await eventually(lambda: len(problems) == 2, 10, "that is over")
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert identity.put[2:] == [("ada", "newer@1")]


@pytest.mark.usefixtures("many_looks")
async def test_polling_the_model_does_not_shorten_a_backoff(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "backoff_s", lambda *_: 3600.0)
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    async with applying(identity, tmp_path) as (made, _):
        made.set_desired(wanted(tmp_path, SUBJECTS.split("---", maxsplit=1)[0]))
        assert await made.settle(10)
        following = asyncio.create_task(made.follow_model())
        identity.failing, identity.model_id = True, "new@1"
        await eventually(lambda: len(identity.put) > 1, 10, "she is put again")

        await several_looks(identity)

        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert identity.put == [("ada", "old@1"), ("ada", "new@1")]
