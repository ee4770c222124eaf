"""The definitions in crds/ on a real API server: every rule with its words, and what a person sees with kubectl."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.cluster.api_client import ApiClient
from tests.support.crd_cases import CASES, Case, Document, camera, ids, region, rtsp, site, subject
from tests.support.crd_near import near_misses
from tests.support.kubernetes.api import ApiCluster
from tests.support.shared import ROOT

from vigil_contracts.crds import definition
from vigil_contracts.resources import KINDS, Camera, Problem, Site, Subject, check

pytestmark = pytest.mark.cluster

SAMPLES = ROOT / "samples"
AT = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def cluster(api_cluster: ApiCluster) -> ApiCluster:
    api_cluster.install_crds()
    return api_cluster


@pytest.fixture(scope="module")
def namespace(cluster: ApiCluster) -> str:
    return cluster.new_namespace("crds")


@pytest.fixture(scope="module")
def api(cluster: ApiCluster, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    client = ApiClient(cluster.kubeconfig, namespace, tmp_path_factory.mktemp("client"))
    yield client
    client.close()


def test_the_crds_are_structural_and_cause_no_warning(cluster: ApiCluster) -> None:
    done = cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    assert done.stderr == ""
    for kind in KINDS:
        name = definition(kind)["metadata"]["name"]
        status = cluster.get("crd", name)["status"]
        assert {one["type"]: one["status"] for one in status["conditions"]} == {
            "NamesAccepted": "True",
            "Established": "True",
        }
        assert status["storedVersions"] == ["v1alpha1"]


def rows(which: str) -> list[Any]:
    return [
        pytest.param(case, one, id=f"{ids(case)} {n}") for case in CASES for n, one in enumerate(getattr(case, which))
    ]


def messages_of(api: ApiClient, case: Case, document: Document) -> list[str]:
    if case.before is None:
        found = api.create(document)
    else:
        name = f"before-{case.kind.lower()}"
        found = api.create({**case.before, "metadata": {"name": name}}, keep=True)
        assert found == [] or "already exists" in found[0]
        gone = {key: None for key in case.before["spec"] if key not in document["spec"]}
        found = api.patch(case.kind, name, {"spec": {**document["spec"], **gone}})
    # a list-map's own words about two entries of one name come beside ours, which a person understands
    return [line for line in found if ": Duplicate value: {" not in line]


@pytest.mark.parametrize(("case", "document"), rows("accepted"))
def test_the_api_server_takes_what_keeps_a_rule(api: ApiClient, case: Case, document: Document) -> None:
    assert messages_of(api, case, document) == []


@pytest.mark.parametrize(("case", "document"), rows("refused"))
def test_the_api_server_refuses_with_the_rules_message(api: ApiClient, case: Case, document: Document) -> None:
    found = messages_of(api, case, document)
    assert case.line in found
    assert [line for line in found if line != case.line] == (
        ["spec.role: Forbidden: role: the role Edge is not implemented yet; leave role out"]
        if case.before is not None and case.kind == "Site"
        else []
    )


def test_kubectl_shows_the_field_and_the_remedy(cluster: ApiCluster, namespace: str) -> None:
    wrong = rtsp(loop=True)
    done = cluster.kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(wrong), check=False)
    assert done.stderr.strip() == (
        'The Camera "row" is invalid: spec.source.loop: Forbidden: loop is only for type File; leave it out'
    )


def test_kubectl_explains_every_field(cluster: ApiCluster) -> None:
    said = cluster.kubectl("explain", "camera.spec.source").stdout
    assert "Address without user and password" in " ".join(said.split())
    assert "-required-" in said
    for kind in KINDS:
        whole = cluster.kubectl("explain", kind.lower(), "--recursive").stdout
        for name in definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
            "properties"
        ]:
            assert name in whole


def test_the_samples_can_be_applied_on_both_sides(cluster: ApiCluster) -> None:
    """By kubectl's own apply, and by server-side apply."""
    namespace = cluster.new_namespace("samples")
    where = ("-n", namespace, "-R", "-f", str(SAMPLES))
    done = cluster.kubectl("apply", "--server-side", "--field-manager=gitops", *where)
    assert done.stderr == ""
    cluster.kubectl("apply", "--server-side", "--field-manager=gitops", *where)
    found = json.loads(cluster.kubectl("get", "vigil", "-n", namespace, "-o", "json").stdout)["items"]
    assert {one["metadata"]["generation"] for one in found} == {1}
    assert cluster.kubectl("apply", "--dry-run=server", *where).returncode == 0


def test_two_gitops_tools_may_own_parts_of_one_camera(cluster: ApiCluster, namespace: str) -> None:
    """They own different entries of its regions."""

    def apply(manager: str, *names: str) -> None:
        wanted = rtsp() | {"metadata": {"name": "shared"}}
        wanted["spec"]["detection"] = {"regions": [region(name) for name in names]}
        arguments = ("apply", "--server-side", f"--field-manager={manager}", "-n", namespace, "-f", "-")
        cluster.kubectl(*arguments, input=json.dumps(wanted))

    apply("one", "door")
    apply("two", "window")
    regions = cluster.get("camera", "shared", namespace)["spec"]["detection"]["regions"]
    assert {one["name"] for one in regions} == {"door", "window"}


def test_an_unknown_field_is_refused_by_name(cluster: ApiCluster, namespace: str) -> None:
    wrong = json.dumps(camera(smapling={"fps": 3}))
    done = cluster.kubectl("apply", "--validate=strict", "-n", namespace, "-f", "-", input=wrong, check=False)
    assert done.returncode != 0
    assert 'unknown field "spec.smapling"' in done.stderr


@pytest.mark.parametrize("document", [camera(), rtsp(), subject(), site()])
def test_the_api_servers_defaults_are_the_contracts(cluster: ApiCluster, namespace: str, document: Document) -> None:
    name = f"defaults-{document['kind'].lower()}"
    cluster.apply(json.dumps({**document, "metadata": {"name": name, "namespace": namespace}}))
    stored = cluster.get(document["kind"].lower(), name, namespace)["spec"]
    resource = check(document)
    assert isinstance(resource, Camera | Subject | Site)
    assert stored == without_empty(resource.spec.model_dump(mode="json", by_alias=True, exclude_none=True))


def without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: without_empty(child) for key, child in value.items()}
        return {key: child for key, child in kept.items() if child not in ({}, [])}
    return value


def condition(kind: str, status: str, reason: str, message: str = "") -> Document:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": AT}


READY = condition("Ready", "True", "Streaming", "frames arrive")
REFUSED = condition("Ready", "False", "Unauthorized", "the camera refuses the password; correct it in the Secret door")
STATUSES: list[tuple[Document, Document]] = [
    (rtsp(), {"site": "hq", "conditions": [READY, condition("FitForRecognition", "True", "Measured")]}),
    (camera(source={"type": "File", "url": "file:a.mp4"}), {"site": "hq", "conditions": [REFUSED]}),
    (
        subject(),
        {
            "photos": [{"name": "front", "accepted": True, "reason": "Accepted"}],
            "conditions": [
                condition("Ready", "True", "Enrolled", "1 of 2 photos are in the gallery"),
                condition("Enrolled", "True", "Enrolled"),
            ],
        },
    ),
    (
        site(),
        {
            "cameras": 2,
            "backlog": 0,
            "endpoints": [{"name": "gpu", "address": "triton:8001", "ready": True}],
            "conditions": [condition("Ready", "True", "Resolved"), condition("Connected", "True", "Connected")],
        },
    ),
]
PRINTED = """\
NAME                       READY   REASON         SITE   SOURCE   FIT    AGE
camera.vigil.dev/front-0   True    Streaming      hq     RTSP     True   *
camera.vigil.dev/front-1   False   Unauthorized   hq     File            *

NAME                        READY   REASON     ENROLLED   CONSENT   CATEGORY   AGE
subject.vigil.dev/front-2   True    Enrolled   True       Granted   Other      *

NAME                     READY   REASON     ROLE      CONNECTED   CAMERAS   AGE
site.vigil.dev/front-3   True    Resolved   Central   True        2         *
"""


def shown(text: str) -> list[list[str]]:
    """Take a table apart; ages differ from run to run."""
    return [["*" if cell.rstrip("s").isdigit() and cell.endswith("s") else cell for cell in line.split()]
            for line in text.splitlines()]  # fmt: skip


def test_kubectl_get_prints_the_documented_columns(cluster: ApiCluster, tmp_path: Path) -> None:
    namespace = cluster.new_namespace("columns")
    client = ApiClient(cluster.kubeconfig, namespace, tmp_path)
    for number, (document, status) in enumerate(STATUSES):
        name = f"front-{number}"
        assert client.create({**document, "metadata": {"name": name}}, keep=True) == []
        assert client.patch(document["kind"], name, {"status": status}, "/status", keep=True) == []
    client.close()
    everything = ("get", "cameras,subjects,sites", "-n", namespace)
    assert shown(cluster.kubectl(*everything).stdout) == shown(PRINTED)
    wide = cluster.kubectl(*everything, "-o", "wide").stdout
    for told_wide in (
        REFUSED["message"],
        "1 of 2 photos are in the gallery",
        "FITNESS",
        "MESSAGE",
    ):
        assert told_wide in wide
    assert "rtsp://" not in wide, "an address may hold a secret"
    assert not {"PHOTOS", "INFERENCE"} & set(wide.split())  # kubectl prints one entry of a list only
    assert len(shown(cluster.kubectl("get", "vigil", "-n", namespace).stdout)) == len(shown(PRINTED))
    for short in ("cam", "subj", "vsite"):
        assert "front-" in cluster.kubectl("get", short, "-n", namespace).stdout


def test_cameras_are_selected_by_the_fields_that_people_ask_for(cluster: ApiCluster, namespace: str) -> None:
    inside = rtsp() | {"metadata": {"name": "inside", "namespace": namespace}}
    inside["spec"] |= {"siteRef": {"name": "plant"}, "suspend": True}
    cluster.apply(json.dumps(inside))
    for kind in KINDS:
        for field in definition(kind)["spec"]["versions"][0]["selectableFields"]:
            selector = f"{field['jsonPath'].removeprefix('.')}=nothing"
            cluster.kubectl("get", kind.lower(), "-n", namespace, "--field-selector", selector)
    for selector in ("spec.siteRef.name=plant", "spec.suspend=true,spec.source.type=RTSP"):
        found = cluster.kubectl("get", "cameras", "-n", namespace, "--field-selector", selector, "-o", "name").stdout
        assert found.split() == ["camera.vigil.dev/inside"]


AMOUNTS: dict[str, tuple[tuple[str, ...], tuple[Any, ...]]] = {
    "cpu": (
        ("1", "0.5", "250m", "16.125", "999999999m"),
        (1, "", "-1", ".5", "1.", "1 ", "1,5", "250M", "0.5m", "0.0001", "1k", "one", "1\n"),
    ),
    "memory": (
        ("134217728", "512Mi", "1.5Gi", "900k", "999999Ti", "2T"),
        (256, "", "-1Gi", "512m", "512MB", "512mi", "1GI", "1 Gi", "1e9", "9000000T", "1E", "Gi", "1Gi\n"),
    ),
}
"""For each resource that a Camera may ask for, the amounts that are taken and those that are not."""


@pytest.mark.parametrize("which", ["requests", "limits"])
@pytest.mark.parametrize("resource", AMOUNTS)
def test_amounts_are_those_of_kubernetes_that_a_pod_can_have(api: ApiClient, resource: str, which: str) -> None:
    def answers(amount: Any) -> tuple[Any, list[str]]:
        document = camera(scheduling={"resources": {which: {resource: amount}}})
        return check(document), api.create(document)

    taken, refused = AMOUNTS[resource]
    for amount in taken:
        found, told_by_it = answers(amount)
        assert isinstance(found, Camera), found
        assert told_by_it == [], amount
    for amount in refused:
        found, told_by_it = answers(amount)
        assert [problem.where for problem in found] == [f"spec.scheduling.resources.{which}.{resource}"], amount
        assert f"spec.scheduling.resources.{which}.{resource}" in "; ".join(told_by_it), amount


SOURCE_FIELDS: list[tuple[str, tuple[Any, ...], tuple[tuple[Any, str], ...]]] = [
    (
        "rotation",
        (0, 90, 180, 270),
        (
            (45, "should be a multiple of 90"),
            (-90, "should be greater than or equal to 0"),
            (360, "should be less than or equal to 270"),
            (1.5, "int"),
            ("90", "integer"),
        ),
    ),
    ("mirror", (True, False), ((1, "boolean"), ("yes", "boolean"))),
    (
        "stallTimeoutSeconds",
        (5, 3600),
        (
            (4, "should be greater than or equal to 5"),
            (3601, "should be less than or equal to 3600"),
            ("15s", "integer"),
        ),
    ),
]
"""Fields of a Camera's source without a rule of their own: values that are taken, and others with the words of both."""


def problems(document: Document) -> list[Problem]:
    """Return what `vigil check` reports."""
    found = check(document)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(("field", "taken", "refused"), SOURCE_FIELDS, ids=[row[0] for row in SOURCE_FIELDS])
def test_a_source_field_beyond_its_limits_is_refused(
    api: ApiClient, field: str, taken: tuple[Any, ...], refused: tuple[tuple[Any, str], ...]
) -> None:
    for value in taken:
        document = rtsp(**{field: value})
        assert isinstance(check(document), Camera), value
        assert api.create(document) == [], value
    for value, words in refused:
        document = rtsp(**{field: value})
        (problem,) = problems(document)
        found = api.create(document)
        assert problem.where == f"spec.source.{field}", value
        assert words in problem.message
        assert [line for line in found if line.startswith(f"spec.source.{field}: ") and words in line], found


TOO_MUCH: list[tuple[str, Document, str]] = [
    ("Camera", {"conditions": [condition(f"Type{n}", "True", "R") for n in range(17)]}, "at most 16 items"),
    ("Camera", {"conditions": [condition("Ready", "True", "R", "x" * 4097)]}, "more than 4096"),
    ("Camera", {"conditions": [condition("Ready", "Maybe", "R")]}, 'supported values: "True", "False", "Unknown"'),
    ("Camera", {"conditions": [condition("Ready", "True", "R"), condition("Ready", "False", "R")]}, "Duplicate value"),
    ("Camera", {"conditions": [{"type": "Ready", "status": "True"}]}, "Required value"),
    ("Camera", {"observedGeneration": "1"}, "must be of type integer"),
    ("Camera", {"framesPerSecond": 5}, 'unknown field "status.framesPerSecond"'),
    ("Subject", {"photos": [{"name": f"p{n}", "accepted": True, "reason": "Accepted"} for n in range(11)]}, "at most"),
    ("Subject", {"photos": [{"name": "p", "accepted": True, "reason": "Nice"}]}, "Unsupported value"),
    ("Subject", {"subjectId": "ada"}, "must be of type uuid"),
    ("Site", {"cameras": -1}, "greater than or equal to 0"),
    (
        "Site",
        {"endpoints": [{"name": f"e{n}", "address": "a:1", "ready": True} for n in range(9)]},
        "at most 8 items",
    ),
]


@pytest.mark.parametrize(("kind", "status", "words"), TOO_MUCH)
def test_a_status_beyond_its_bounds_is_refused(api: ApiClient, kind: str, status: Document, words: str) -> None:
    whole = {"Camera": camera(), "Subject": subject(), "Site": site()}[kind]
    found = api.create({**whole, "metadata": {"name": "bounds"}}, keep=True)
    assert found == [] or "already exists" in found[0]
    assert words in "; ".join(api.patch(kind, "bounds", {"status": status}, "/status"))


def test_a_manifests_status_is_ignored(cluster: ApiCluster, api: ApiClient, namespace: str) -> None:
    """A write of the status subresource leaves the generation as it is."""
    mine = {**camera(), "metadata": {"name": "mine"}, "status": {"site": "elsewhere"}}
    assert api.create(mine, keep=True) == []
    assert isinstance(check(mine), Camera)
    assert "status" not in cluster.get("camera", "mine", namespace)
    assert api.patch("Camera", "mine", {"status": {"site": "hq"}}, "/status", keep=True) == []
    assert cluster.get("camera", "mine", namespace)["metadata"]["generation"] == 1
    assert api.patch("Camera", "mine", {"spec": {"suspend": True}}, keep=True) == []
    found = cluster.get("camera", "mine", namespace)
    assert (found["metadata"]["generation"], found["status"]) == (2, {"site": "hq"})


@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_the_api_server_and_the_contracts_agree(api: ApiClient, data: st.DataObject) -> None:
    """On random manifests, valid and invalid."""
    document = data.draw(near_misses())
    found = check(document)
    answer = api.create(document)
    if isinstance(found, list):
        assert answer, f"the API server takes what the contracts refuse: {found} in {document}"
    else:
        assert answer == [], f"the API server refuses what the contracts take: {document}"
