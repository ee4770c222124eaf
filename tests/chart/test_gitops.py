"""Argo CD and Flux see healthy, on the way, or broken, for each of the three kinds."""

import datetime as dt
from typing import Any

import pytest
import yaml
from tests.chart.gitops import HEALTH, HealthChecks

from vigil_contracts import conditions
from vigil_contracts.conditions import CameraReason, SiteReason, SourceReason, SubjectReason
from vigil_contracts.events import CameraHeartbeat, CameraRef, CameraState
from vigil_operator.bus.heartbeats import LastHeartbeat
from vigil_operator.reconcile.camera.conditions import CameraFacts, Problem, condition_updates
from vigil_operator.reconcile.camera.pods import PodFacts

Condition = tuple[str, str, str]
"""Type, status, reason."""


def resource(kind: str, *given: Condition, generation: int = 2, observed: int = 2, **metadata: Any) -> dict[str, Any]:
    found = [
        {
            "type": type_,
            "status": status,
            "reason": reason,
            "message": f"why {reason}",
            "observedGeneration": observed,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for type_, status, reason in given
    ]
    return {
        "apiVersion": "vigil.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "it", "namespace": "default", "generation": generation, **metadata},
        "status": {"observedGeneration": observed, "conditions": found},
    }


def camera(known: CameraFacts, **more: Any) -> dict[str, Any]:
    """Make a Camera with the conditions that the operator itself would give it."""
    return resource("Camera", *((each.type, each.status, each.reason) for each in condition_updates(known)), **more)


def heartbeat(state: CameraState, reason: SourceReason) -> CameraFacts:
    """Make what is known of a Camera whose pod runs and has just spoken."""
    beat = CameraHeartbeat(
        site="default",
        camera=CameraRef(namespace="default", name="it"),
        session_id="1",
        state=state,
        reason=reason,
        since=dt.datetime.now(dt.UTC),
    )
    return CameraFacts(
        problem=None, suspended=False, pod=RUNS, heartbeat=LastHeartbeat(beat, age_s=1.0), pod_age_s=60.0
    )


def hindered(reason: CameraReason, *, permanent: bool = True) -> CameraFacts:
    """Make what is known of a Camera that gets no pod."""
    return CameraFacts(problem=Problem(reason, "why", permanent), suspended=False, pod=None, heartbeat=None)


RUNS = PodFacts(None)
SILENT = CameraFacts(problem=None, suspended=False, pod=RUNS, heartbeat=None, bus_problem="refused", pod_age_s=60.0)
STREAMS = heartbeat(CameraState.STREAMING, SourceReason.CONNECTED)
REFUSED = heartbeat(CameraState.RECONNECTING, SourceReason.UNAUTHORIZED)
IMAGE = CameraFacts(
    None, suspended=False, pod=PodFacts(CameraReason.IMAGE_PULL_FAILED, "why", permanent=True), heartbeat=None
)
PENDING = CameraFacts(None, suspended=False, pod=PodFacts(CameraReason.POD_UNSCHEDULABLE, "why"), heartbeat=None)
FULL = hindered(CameraReason.INSUFFICIENT_INFERENCE_CAPACITY, permanent=False)

CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "a Camera that streams": (camera(STREAMS), "Current", "Healthy"),
    "a Camera that gets its pod": (
        camera(CameraFacts(None, suspended=False, pod=None, heartbeat=None)),
        "InProgress",
        "Progressing",
    ),
    "a Camera whose pod has just started": (
        camera(CameraFacts(None, suspended=False, pod=RUNS, heartbeat=None)),
        "InProgress",
        "Progressing",
    ),
    "a Camera for which no node has room": (camera(PENDING), "InProgress", "Progressing"),
    "a Camera whose image is not there": (camera(IMAGE), "Failed", "Degraded"),
    "a Camera whose Secret is missing": (camera(hindered(CameraReason.SECRET_NOT_FOUND)), "Failed", "Degraded"),
    "a Camera with a wrong password": (camera(REFUSED), "Failed", "Degraded"),
    "a Camera that waits for inference": (camera(FULL), "InProgress", "Progressing"),
    "a Camera without power": (
        camera(heartbeat(CameraState.RECONNECTING, SourceReason.UNREACHABLE)),
        "InProgress",
        "Degraded",
    ),
    "a suspended Camera": (
        camera(CameraFacts(None, suspended=True, pod=None, heartbeat=None)),
        "InProgress",
        "Suspended",
    ),
    "a Camera of which nothing can be known": (camera(SILENT), "InProgress", "Progressing"),
    "a Camera changed a moment ago": (camera(STREAMS, generation=3), "InProgress", "Progressing"),
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
def test_flux_and_argo_cd_see_the_health(health_checks: HealthChecks, name: str) -> None:
    given, kstatus, argocd = CASES[name]
    health = health_checks.check(given)
    assert (health.kstatus, health.argocd) == (kstatus, argocd)


def test_argo_cd_shows_the_reason_and_what_to_do(health_checks: HealthChecks) -> None:
    health = health_checks.check(camera(REFUSED))
    assert health.message == "Unauthorized: why Unauthorized"


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
def test_argo_cd_survives_a_missing_or_hand_edited_status(
    health_checks: HealthChecks, kind: str, broken: dict[str, Any]
) -> None:
    given = {"apiVersion": "vigil.dev/v1alpha1", "kind": kind, "metadata": {"name": "it", "generation": 1}, **broken}
    assert health_checks.check(given).argocd == "Progressing"


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
