"""One person under two names is warned of without a model, by the sha256 of the photos."""

import base64
import hashlib
from pathlib import Path

import pytest
from tests.support.shared import shared

from vigil_cli.manifests import Severity, load

DIGEST = hashlib.sha256(b"ann").hexdigest()
LOCAL = "{name: p, url: 'file:ann.jpg', sha256: '" + DIGEST + "'}"
REMOTE = "{name: p, url: 'https://photos.example/1.jpg', sha256: '" + DIGEST + "'}"
SECRET = "{name: p, secretKeyRef: {name: photos, key: ann}}"
OTHER = "{name: p, url: 'https://photos.example/2.jpg', sha256: '" + "0" * 64 + "'}"


def subject(name: str, photo: str, consent: str = "Granted", namespace: str = "default") -> str:
    return (
        "---\napiVersion: vigil.dev/v1alpha1\nkind: Subject\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  displayName: {name}\n"
        f"  consent: {{status: {consent}}}\n  photos:\n  - {photo}\n"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ann.jpg").write_bytes(b"ann")
    encoded = base64.b64encode(b"ann").decode()
    secret = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: photos}}\ndata:\n  ann: {encoded}\n"
    (tmp_path / "secret.yaml").write_text(secret)
    return tmp_path


@pytest.mark.parametrize(
    ("first", "second", "warned"),
    [
        (subject("ann", LOCAL), subject("ann-smith", LOCAL), True),
        (subject("ann", LOCAL), subject("ann-smith", REMOTE), True),
        (subject("ann", SECRET), subject("ann-smith", LOCAL), True),
        (subject("ann", LOCAL), subject("ann", LOCAL, namespace="guests"), True),
        (subject("ann", LOCAL), subject("bob", OTHER), False),
        (subject("ann", LOCAL), subject("ann-smith", LOCAL, consent="Withdrawn"), False),
    ],
    ids=["file", "address", "Secret", "namespace", "another photo", "no consent"],
)
def test_the_same_photo_in_two_subjects(folder: Path, first: str, second: str, *, warned: bool) -> None:
    (folder / "subjects.yaml").write_text(first + second)
    warnings = load([folder]).warnings
    assert len(warnings) == warned
    for warning in warnings:
        assert (warning.severity, warning.path, warning.line) == (Severity.WARNING, "spec.photos[0]", 18)
        assert "Subject default/ann has the same photo (p," in warning.message
        assert "remove one Subject" in warning.message


def test_the_same_photo_twice_in_one_subject_is_no_second_person(folder: Path) -> None:
    (folder / "subjects.yaml").write_text(subject("ann", LOCAL) + "  - " + LOCAL.replace("name: p", "name: q") + "\n")
    assert not load([folder]).warnings


def test_case_one_person_twice_is_warned_of() -> None:
    """Case one-person-twice: checking the manifests names both Subjects."""
    (warning,) = load([shared("cases/one-person-twice")]).warnings
    assert warning.file.name == "b.yaml"
    assert "Subject default/anna has the same photo (p," in warning.message
