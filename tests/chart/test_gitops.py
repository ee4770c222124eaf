"""Argo CD and Flux see healthy, on the way, or broken, for each of the three kinds."""

from typing import Any

import pytest
import yaml
from tests.chart.gitops import HEALTH, Judges

from vigil_contracts import conditions
from vigil_contracts.conditions import CameraReason, SiteReason, SourceReason, SubjectReason

Condition = tuple[str, str, str]
"""Type, status, reason."""


def resource(kind: str, *told: Condition, generation: int = 2, observed: int = 2, **metadata: Any) -> dict[str, Any]:
    found = [
        {
            "type": type_,
            "status": status,
            "reason": reason,
            "message": f"why {reason}",
            "observedGeneration": observed,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for type_, status, reason in told
    ]
    return {
        "apiVersion": "vigil.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "it", "namespace": "default", "generation": generation, **metadata},
        "status": {"observedGeneration": observed, "conditions": found},
    }


def camera(ready: tuple[str, str], reconciling: str = "False", stalled: str = "False", **more: Any) -> dict[str, Any]:
    status, reason = ready
    return resource(
        "Camera",
        ("Ready", status, reason),
        ("Reconciling", reconciling, reason if reconciling == "True" else CameraReason.RECONCILED),
        ("Stalled", stalled, reason if stalled == "True" else CameraReason.NOT_STALLED),
        **more,
    )


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "a Camera that streams": (camera(("True", CameraReason.STREAMING)), "Current", "Healthy"),
    "a Camera whose pod starts": (
        camera(("False", CameraReason.STARTING), reconciling="True"),
        "InProgress",
        "Progressing",
    ),
    "a Camera whose Secret is missing": (
        camera(("False", CameraReason.SECRET_NOT_FOUND), stalled="True"),
        "Failed",
        "Degraded",
    ),
    "a Camera with a wrong password": (
        camera(("False", SourceReason.UNAUTHORIZED), stalled="True"),
        "Failed",
        "Degraded",
    ),
    "a Camera that does not fit": (
        camera(("False", CameraReason.INSUFFICIENT_INFERENCE_CAPACITY), stalled="True"),
        "Failed",
        "Degraded",
    ),
    "a Camera that cannot be reached just now": (camera(("False", SourceReason.UNREACHABLE)), "InProgress", "Degraded"),
    "a Camera told to rest": (camera(("False", CameraReason.SUSPENDED)), "InProgress", "Suspended"),
    "a Camera of which nothing is known": (
        camera(("Unknown", CameraReason.BUS_UNREACHABLE)),
        "InProgress",
        "Progressing",
    ),
    "a Camera changed a moment ago": (
        camera(("True", CameraReason.STREAMING), generation=3),
        "InProgress",
        "Progressing",
    ),
    "a Subject that is recognised": (
        resource("Subject", ("Ready", "True", SubjectReason.ENROLLED), ("Enrolled", "True", SubjectReason.ENROLLED)),
        "Current",
        "Healthy",
    ),
    "a Subject on its way": (
        resource("Subject", ("Ready", "False", SubjectReason.ENROLLING)),
        "InProgress",
        "Progressing",
    ),
    "a Subject without a usable photo": (
        resource("Subject", ("Ready", "False", SubjectReason.NO_USABLE_PHOTO)),
        "InProgress",
        "Degraded",
    ),
    "a Subject being erased": (
        resource(
            "Subject",
            ("Ready", "False", SubjectReason.ERASURE_WAITING),
            deletionTimestamp="2026-01-01T00:00:00Z",
            finalizers=["vigil.dev/erasure"],
        ),
        "Terminating",
        "Progressing",
    ),
    "a Site at work": (resource("Site", ("Ready", "True", SiteReason.RESOLVED)), "Current", "Healthy"),
    "a Site that connects": (resource("Site", ("Ready", "False", SiteReason.CONNECTING)), "InProgress", "Progressing"),
    "a Site whose bus is away": (
        resource("Site", ("Ready", "False", SiteReason.BUS_UNREACHABLE)),
        "InProgress",
        "Degraded",
    ),
}
"""Name to resource, kstatus, Argo CD's health."""


@pytest.mark.parametrize("name", CASES)
def test_flux_and_argo_cd_see_how_it_is(judges: Judges, name: str) -> None:
    given, kstatus, argocd = CASES[name]
    judged = judges.judge(given)
    assert (judged.kstatus, judged.argocd) == (kstatus, argocd)


def test_argo_cd_shows_the_reason_and_what_to_do(judges: Judges) -> None:
    judged = judges.judge(camera(("False", SourceReason.UNAUTHORIZED), stalled="True"))
    assert judged.message == "Unauthorized: why Unauthorized"


@pytest.mark.parametrize("kind", ["Camera", "Subject", "Site"])
@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"status": {}},
        {"status": {"conditions": None}},
        {"status": {"conditions": [{"type": "Ready"}]}},
    ],
    ids=str,
)
def test_argo_cd_survives_a_missing_or_hand_edited_status(judges: Judges, kind: str, broken: dict[str, Any]) -> None:
    given = {"apiVersion": "vigil.dev/v1alpha1", "kind": kind, "metadata": {"name": "it", "generation": 1}, **broken}
    assert judges.judge(given).argocd == "Progressing"


def test_the_script_knows_only_reasons_that_exist() -> None:
    known = {str(reason) for kind in (CameraReason, SubjectReason, SiteReason) for reason in kind}
    passing = HEALTH.read_text().split("local passing = {")[1].split("}")[0]
    named = {part.split("=")[0].strip() for part in passing.split(",") if part.strip()}
    assert named <= known
    assert set(conditions.CameraCondition) >= {"Ready", "Reconciling", "Stalled"}


def test_the_config_map_for_argo_cd_holds_the_same_script() -> None:
    config = yaml.safe_load((HEALTH.parent / "argocd-cm.yaml").read_text())["data"]
    script = HEALTH.read_text()
    assert config == {
        f"resource.customizations.health.vigil.dev_{kind}": script for kind in ("Camera", "Subject", "Site")
    }
