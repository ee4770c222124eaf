"""Withdrawals and removals are applied at once, whatever else is wrong in the manifests."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.waiting import eventually
from tests.unit.cli.applying import Identity, applying, serving

from vigil_cli.manifests import ManifestError, Manifests, Severity, load
from vigil_cli.manifests.partial import applicable
from vigil_cli.standalone.desired import desired
from vigil_cli.standalone.enrolment import AT_ONCE
from vigil_cli.standalone.record import Record
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport, PhotoReason, PhotoResult

A, B = ResourceKey("default", "a"), ResourceKey("default", "b")


def photo(name: str) -> bytes:
    return f"the photo of {name}".encode()


def sha(name: str) -> str:
    return hashlib.sha256(photo(name)).hexdigest()


@pytest.fixture
def identity() -> Iterator[Identity]:
    with serving() as server:
        yield server


def manifest(name: str, consent: str = "Granted", display_name: str = "") -> str:
    return (
        f"apiVersion: vigil.dev/v1alpha1\nkind: Subject\nmetadata: {{name: {name}}}\nspec:\n"
        f"  displayName: {display_name or name.upper()}\n  consent: {{status: {consent}}}\n"
        f'  photos: [{{name: p, url: "file:{name}.jpg", sha256: {sha(name)}}}]\n'
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(manifest(name))
        (tmp_path / f"{name}.jpg").write_bytes(photo(name))
    return tmp_path


def read(folder: Path, before: Manifests, record: Record | None = None) -> tuple[Manifests, list[str]]:
    """Load as `vigil up` does while it runs; return what is applied, and the errors."""
    try:
        return load([folder], before, is_assessed=(record or Record(folder / "state")).is_assessed), []
    except ManifestError as error:
        errors = [str(finding) for finding in error.findings if finding.severity is Severity.ERROR]
        return applicable(before, error.readable), errors


def consents(manifests: Manifests) -> dict[str, str]:
    return {key.name: str(one.resource.spec.consent.status) for key, one in manifests.subjects.items()}


def test_withdrawal_waits(folder: Path) -> None:
    """The case: one photo is damaged, then another person withdraws."""
    before = load([folder])
    (folder / "b.jpg").write_bytes(b"x")
    (folder / "a.yaml").write_text(manifest("a", "Withdrawn"))

    found, errors = read(folder, before)

    assert consents(found) == {"a": "Withdrawn", "b": "Granted"}
    assert found.subjects[B] == before.subjects[B]
    assert len(errors) == 1
    assert "b.yaml:7:" in errors[0]
    assert "is not the photo that was agreed to" in errors[0]


def test_withdrawn_and_photo_gone(folder: Path) -> None:
    """The case: consent is withdrawn, and the photo deleted in the same change."""
    before = load([folder])
    (folder / "a.jpg").unlink()
    (folder / "a.yaml").write_text(manifest("a", "Withdrawn"))

    assert consents(load([folder], before)) == {"a": "Withdrawn", "b": "Granted"}


BROKEN = {
    "not YAML": "a: [",
    "not UTF-8": "caf\udce9",
    "empty": "",
    "invalid": manifest("b", display_name='""'),
    "unknown field": manifest("b") + "  nonsense: 1\n",
    "twice": manifest("b") + "---\n" + manifest("b"),
    "key twice": manifest("b") + "  displayName: C\n",
    "misspelled kind": manifest("b").replace("kind: Subject", "kind: Subjekt"),
    "another version": manifest("b").replace("v1alpha1", "v1"),
    "no list": "apiVersion: v1\nkind: List\nitems: 3\n",
    "no mapping": "- 1\n",
    "no name": manifest("b").replace("name: b", "other: b"),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("change", ["withdrawn", "removed"])
def test_a_broken_manifest_stops_nobody_elses(folder: Path, text: str, change: str) -> None:
    before = load([folder])
    (folder / "b.yaml").write_bytes(text.encode(errors="surrogateescape"))
    if change == "withdrawn":
        (folder / "a.yaml").write_text(manifest("a", "Withdrawn"))
    else:
        (folder / "a.yaml").unlink()

    found, errors = read(folder, before)

    assert errors
    assert consents(found) == ({"a": "Withdrawn", "b": "Granted"} if change == "withdrawn" else {"b": "Granted"})


WITHDRAWN = {
    "and an invalid name": manifest("a", "Withdrawn", '""'),
    "and an unknown field": manifest("a", "Withdrawn") + "  nonsense: 1\n",
    "misspelled": manifest("a", "withdrawn"),
    "and a key twice": manifest("a", "Withdrawn") + "  displayName: C\n",
    "in a second manifest": manifest("a") + "---\n" + manifest("a", "Withdrawn"),
}


@pytest.mark.parametrize("text", WITHDRAWN.values(), ids=WITHDRAWN)
def test_a_withdrawal_counts_in_a_broken_manifest_too(folder: Path, text: str) -> None:
    before = load([folder])
    (folder / "a.yaml").write_text(text)

    found, errors = read(folder, before)

    assert errors
    assert consents(found)["a"] == "Withdrawn"


MOVED = {
    "moved": (lambda text: text + "x: [", {"a", "b"}),
    "gone": (lambda _: "a: [", {"b"}),
}


@pytest.mark.parametrize(("text", "kept"), MOVED.values(), ids=MOVED)
def test_nobody_is_erased_who_may_be_in_a_broken_manifest(folder: Path, text: object, kept: set[str]) -> None:
    """The manifest of A is moved into the file of B, which then cannot be read."""
    before = load([folder])
    (folder / "a.yaml").unlink()
    assert callable(text)
    (folder / "b.yaml").write_text(text(manifest("b") + "---\n" + manifest("a")))

    found, _ = read(folder, before)

    assert set(consents(found)) == kept


def test_an_emptied_folder_erases_nobody(folder: Path) -> None:
    before = load([folder])
    for file in folder.glob("*.yaml"):
        file.unlink()

    found, errors = read(folder, before)

    assert set(consents(found)) == {"a", "b"}
    assert "holds no manifests" in errors[0]


def test_a_photo_that_was_assessed_is_not_needed_again(folder: Path) -> None:
    """Not while Vigil runs and not at the next start; another one is."""
    before, record = load([folder]), Record(folder / "state")
    record.set_assessed(A, report(sha("a")))
    (folder / "a.jpg").unlink()

    for made in (record, Record(folder / "state")):
        found, errors = read(folder, before, made)
        assert errors == []
        assert [one.severity for one in found.warnings] == [Severity.WARNING]
        assert "it was assessed before, and that stays" in found.warnings[0].message
    record.set_assessed(A, report("0" * 64))
    assert "cannot be read" in read(folder, before, record)[1][0]
    record.set_assessed(A, report(sha("a")))
    record.forget(A)
    assert "cannot be read" in read(folder, before, Record(folder / "state"))[1][0]


def report(sha256: str) -> EnrolmentReport:
    result = PhotoResult(name="p", accepted=True, reason=PhotoReason.ACCEPTED, sha256=sha256)
    return EnrolmentReport.model_validate(
        {
            "subject_id": "01890a5d-ac96-774b-bcce-b302099a8057",
            "enrolled": True,
            "reason": "Enrolled",
            "photos": [result],
        }
    )


async def test_a_withdrawal_waits_for_no_photo_and_no_enrolment(identity: Identity, folder: Path) -> None:
    """Its photos are on a server that is silent, and other enrolments take all places."""
    (folder / "z.yaml").write_text(manifest("z", "Withdrawn").replace("file:z.jpg", "https://192.0.2.1/z.jpg"))
    for name in ("c", "d"):
        (folder / f"{name}.yaml").write_text(manifest(name))
        (folder / f"{name}.jpg").write_bytes(photo(name))
    identity.answering.clear()
    try:
        async with applying(identity, folder) as (applier, _):
            applier.set_desired(desired(load([folder]), "new@1"))
            await eventually(lambda: "z" in [name for name, _ in identity.put], 10, "the withdrawal is registered")
            assert len(identity.put) <= 1 + AT_ONCE
            identity.answering.set()
            assert await applier.settle(10)
    finally:
        identity.answering.set()
