"""`vigil status` shows what is not applied and why, and why somebody is not recognised."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from vigil_cli.commands.status_report import SubjectReport, read_manifests, with_reasons
from vigil_cli.manifests import ManifestError, Manifests, load
from vigil_cli.manifests.partial import applicable
from vigil_cli.standalone.record import Record
from vigil_cli.standalone.state import StateFolder
from vigil_contracts.ids import ResourceKey

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
ANN = ResourceKey("default", "ann")
GRANTED = {"status": "Granted"}
BEFORE, AFTER = "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"


def manifests(folder: Path, **spec: Any) -> Manifests:
    (folder / "ann.yaml").write_text(
        "apiVersion: vigil.dev/v1alpha1\nkind: Subject\nmetadata: {name: ann}\n"
        "spec: {displayName: Ann, photos: [{name: p, secretKeyRef: {name: s, key: k}}], "
        + ", ".join(f"{name}: {value}" for name, value in spec.items()).replace("'", '"')
        + "}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: photo}\n"
    )
    return load([folder])


REASONS: list[tuple[dict[str, Any], bool, str]] = [
    ({"consent": GRANTED}, True, ""),
    ({"consent": GRANTED}, False, "no photo can be used"),
    ({"consent": {"status": "Withdrawn"}}, False, "consent is withdrawn"),
    ({"consent": {"status": "Pending"}}, False, "consent is pending"),
    ({"consent": {**GRANTED, "expiresAt": BEFORE}}, False, "consent expired on 2026-01-01"),
    ({"consent": {**GRANTED, "expiresAt": AFTER}}, True, ""),
    ({"consent": GRANTED, "validity": {"notAfter": BEFORE}}, False, "validity ended on 2026-01-01"),
    ({"consent": GRANTED, "validity": {"notBefore": AFTER}}, True, "not valid before 2027-01-01"),
]


@pytest.mark.parametrize(("spec", "enrolled", "why"), REASONS)
def test_status_shows_why_somebody_is_not_recognised(
    spec: dict[str, Any], enrolled: bool, why: str, tmp_path: Path
) -> None:
    record = Record(tmp_path / "state")
    record.set_manifests(manifests(tmp_path, **spec))
    row = SubjectReport(namespace="default", name="ann", display_name="Ann", enrolled=enrolled, active=True, photos=[])

    (shown,) = with_reasons([row], read_manifests(StateFolder(tmp_path / "state")), NOW)

    assert shown.why.startswith(why)
    assert bool(shown.why) is bool(why)


def test_a_subject_that_identity_refuses_is_shown(tmp_path: Path) -> None:
    """never-ends: it was missing from the table."""
    record = Record(tmp_path / "state")
    record.set_manifests(manifests(tmp_path, consent=GRANTED))
    record.set_problem("subject", ANN, "identity refuses it: out of range")

    recorded = read_manifests(StateFolder(tmp_path / "state"))
    (row,) = with_reasons([], recorded, NOW)
    (unapplied,) = recorded.unapplied

    assert (row.name, row.enrolled, row.why) == ("ann", False, "identity refuses it: out of range")
    assert (unapplied.file, unapplied.line) == (str(tmp_path / "ann.yaml"), 3)
    record.set_problem("subject", ANN, "")
    assert read_manifests(StateFolder(tmp_path / "state")).unapplied == []


def test_status_shows_file_line_and_reason(tmp_path: Path) -> None:
    """withdrawn-and-photo-gone: of each manifest that is not applied."""
    before = manifests(tmp_path, consent=GRANTED)
    (tmp_path / "bob.yaml").write_text("apiVersion: vigil.dev/v1alpha1\nkind: Subject\nmetadata: {name: bob}\n")
    record = Record(tmp_path / "state")
    with pytest.raises(ManifestError) as caught:
        load([tmp_path], before)
    record.set_manifests(applicable(before, caught.value.readable), caught.value.findings)

    (unapplied,) = read_manifests(StateFolder(tmp_path / "state")).unapplied

    assert (unapplied.file, unapplied.line) == (str(tmp_path / "bob.yaml"), 1)
    assert (unapplied.resource, unapplied.reason) == ("spec", "is required")
    record.forget(ANN)
    assert "ann" not in (tmp_path / "state" / "assessed.json").read_text()
