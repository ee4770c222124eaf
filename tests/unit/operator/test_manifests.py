"""Each golden file is a Camera, what surrounds it, and the children that it gives.

`VIGIL_WRITE_GOLDEN=1` writes them anew; read the difference before it is committed.
"""

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tests.unit.operator.builders import camera, settings, wiring

from vigil_contracts.resources import Camera, check
from vigil_contracts.resources.scheduling import CpuAmount, MemoryAmount
from vigil_operator.kube.compare import amounts, holds
from vigil_operator.kube.kinds import Kind, Object
from vigil_operator.kube.trim import trim
from vigil_operator.reconcile.camera.children import is_applied
from vigil_operator.resources.camera import camera_json, children
from vigil_operator.resources.names import APPLIED_HASH, CONFIG_HASH, child_name
from vigil_operator.settings import Settings

AMOUNTS = [TypeAdapter[str](kind).json_schema()["pattern"] for kind in (CpuAmount, MemoryAmount)]
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.yaml"))


def rendered(document: dict[str, Any]) -> list[Object]:
    found = check(document["camera"])
    assert isinstance(found, Camera), found
    given = Settings(**{**settings().model_dump(exclude_unset=True), **document.get("settings", {})})
    given_wiring = {
        name: tuple(value) if isinstance(value, list) else value for name, value in document.get("wiring", {}).items()
    }
    return [manifest for _, manifest in children(found, wiring(given, **given_wiring))]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_camera_gives_these_manifests(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    made = rendered(document)
    if os.environ.get("VIGIL_WRITE_GOLDEN"):
        path.write_text(yaml.safe_dump({**document, "children": made}, sort_keys=False, allow_unicode=True, width=120))
    assert made == document["children"]


def test_there_are_golden_files() -> None:
    assert len(GOLDEN) >= 9


def template(one: Camera, **more: Any) -> Object:
    found: Object = dict(children(one, wiring(**more)))[Kind.DEPLOYMENT]["spec"]["template"]
    return found


def hash_of(one: Camera, **more: Any) -> str:
    return str(template(one, **more)["metadata"]["annotations"][CONFIG_HASH])


@pytest.mark.parametrize(
    "spec",
    [
        {"retention": {"sightings": "30d"}},
        {"scheduling": {"priority": 7}},
        {"recognition": {"thresholdPermille": 400}},
        {"siteRef": {"name": "default"}},
        {"sampling": {"fps": 5}},
    ],
    ids=str,
)
def test_what_the_stream_does_not_read_starts_no_pod_anew(spec: dict[str, Any]) -> None:
    assert template(camera(**spec)) == template(camera())


@pytest.mark.parametrize(
    "spec",
    [
        {"sampling": {"fps": 6}},
        {"detection": {"minFacePixels": 40}},
        {"recognition": {"mode": "DetectOnly"}},
        {"source": {"url": "rtsp://10.0.0.5/2"}},
        {"source": {"transport": "UDP"}},
    ],
    ids=str,
)
def test_what_the_stream_reads_starts_its_pod_anew(spec: dict[str, Any]) -> None:
    assert hash_of(camera(**spec)) != hash_of(camera())


def test_a_password_restarts_the_pod_and_a_replica_count_not() -> None:
    assert hash_of(camera(), secrets_digest="other") != hash_of(camera())
    assert hash_of(camera(), replicas=0) == hash_of(camera())


ASKED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": (
        {"limits": {}},
        {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}},
    ),
    "more memory": (
        {"limits": {"memory": "2Gi"}},
        {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "2Gi", "nvidia.com/gpu": "1"}},
    ),
    "all of it": (
        {"requests": {"cpu": "1", "memory": "1.5Gi"}, "limits": {"cpu": "2000m", "memory": "2Gi"}},
        {
            "requests": {"cpu": "1", "memory": "1.5Gi"},
            "limits": {"cpu": "2000m", "memory": "2Gi", "nvidia.com/gpu": "1"},
        },
    ),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_cameras_resources_replace_only_those_it_names(name: str) -> None:
    asked, given_to_it = ASKED[name]
    made = template(camera(scheduling={"gpu": True, "resources": asked}))
    assert made["spec"]["containers"][0]["resources"] == given_to_it


def test_a_usb_camera_keeps_its_device_beside_what_it_asks_for() -> None:
    one = camera(source={"type": "USB", "url": "/dev/video0"}, scheduling={"resources": {"limits": {"memory": "1Gi"}}})
    made = template(one, given=settings(usb_resources={"/dev/video0": "test/video"}))
    limits = made["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"memory": "1Gi", "test/video": "1"}


@pytest.mark.parametrize(
    ("asked", "stored"),
    [("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("2000000k", "2G"), ("0.5Ki", "512"), ("1.5", "1500m")],
)
def test_a_normalised_amount_is_not_applied_again(asked: str, stored: str) -> None:
    """The API server writes 1000m as 1."""
    one = camera(scheduling={"resources": {"limits": {"memory": asked}}})
    manifest = dict(children(one, wiring()))[Kind.DEPLOYMENT]
    seen = seen_by_the_server(manifest, Kind.DEPLOYMENT)
    limits = seen["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["memory"] == asked
    limits["memory"] = stored
    assert is_applied(Kind.DEPLOYMENT, seen, manifest)
    limits["memory"] = "3"
    assert not is_applied(Kind.DEPLOYMENT, seen, manifest)


@given(st.one_of(*(st.from_regex(pattern, fullmatch=True) for pattern in AMOUNTS)))
def test_every_allowed_amount_is_compared_as_a_number(text: str) -> None:
    assert isinstance(amounts(text), Decimal)
    assert amounts(text) < 2**63, "Kubernetes counts no further"


def test_an_error_of_a_pod_is_not_its_successors() -> None:
    """The successor has other resources, so its configuration hash differs."""
    asked = [{}, {"limits": {"memory": "1Gi"}}, {"limits": {"memory": "2Gi"}}]
    assert len({hash_of(camera(scheduling={"resources": one})) for one in asked}) == 3
    assert hash_of(camera(scheduling={"resources": {"limits": {}}})) == hash_of(camera())


def test_the_stream_process_can_read_what_it_is_given() -> None:
    found = check(yaml.safe_load(camera_json(camera(suspend=True, scheduling={"gpu": True}, sampling={"fps": 9}))))
    assert isinstance(found, Camera)
    assert found.spec.sampling.fps == 9
    assert not found.spec.suspend


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=63))
def test_every_name_of_a_camera_gives_a_dns_label_of_its_own(name: str) -> None:
    name = name.strip("-") or "a"
    child = child_name(name)
    assert len(child) <= 63
    assert not child.endswith("-")
    assert child_name(f"{name[:62]}x") != child or name == f"{name[:62]}x"


def seen_by_the_server(manifest: Object, kind: Kind) -> Object:
    """Return an applied manifest as it comes back: with defaults and bookkeeping added."""
    obj: Object = yaml.safe_load(yaml.safe_dump(manifest))
    obj["metadata"] |= {
        "uid": "1",
        "resourceVersion": "7",
        "generation": 1,
        "creationTimestamp": "2026-05-01T00:00:00Z",
    }
    obj["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "1"
    if kind is Kind.DEPLOYMENT:
        obj["spec"]["progressDeadlineSeconds"] = 600
        obj["spec"]["template"]["spec"] |= {"dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"}
        obj["spec"]["template"]["spec"]["containers"][0]["terminationMessagePath"] = "/dev/termination-log"
        obj["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "theirs:1"})
    return trim(kind, obj)


SPECS = st.fixed_dictionaries(
    {},
    optional={
        "suspend": st.booleans(),
        "sampling": st.fixed_dictionaries({"fps": st.integers(1, 60)}),
        "scheduling": st.fixed_dictionaries(
            {"gpu": st.booleans()},
            optional={
                "nodeSelector": st.just({"zone": "a"}),
                "priority": st.integers(-9, 9),
                "resources": st.sampled_from([{}, {"limits": {"memory": "1Gi"}}, {"requests": {"cpu": "2"}}]),
            },
        ),
        "detection": st.fixed_dictionaries({"maxFaces": st.integers(1, 100)}),
    },
)


@given(SPECS)
def test_what_was_applied_is_not_applied_again(spec: dict[str, Any]) -> None:
    one = camera(**spec)
    for kind, manifest in children(one, wiring()):
        assert is_applied(kind, seen_by_the_server(manifest, kind), manifest)


@given(SPECS, SPECS)
def test_another_wish_is_applied(before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = (dict(children(camera(**spec), wiring())) for spec in (before, after))
    for kind, manifest in new.items():
        same = manifest == old[kind]
        assert is_applied(kind, seen_by_the_server(old[kind], kind), manifest) == same


@pytest.mark.parametrize(
    "path",
    [
        ("spec", "replicas"),
        ("spec", "template", "spec", "containers", 0, "image"),
        ("spec", "template", "spec", "securityContext", "runAsUser"),
        ("metadata", "labels", "vigil.dev/camera"),
        ("metadata", "annotations", APPLIED_HASH),
    ],
    ids=str,
)
def test_whatever_somebody_edits_is_seen(path: tuple[Any, ...]) -> None:
    manifest = dict(children(camera(), wiring()))[Kind.DEPLOYMENT]
    seen = seen_by_the_server(manifest, Kind.DEPLOYMENT)
    place = seen
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = "edited"
    assert not is_applied(Kind.DEPLOYMENT, seen, manifest)


def test_lists_are_compared_by_name_and_other_lists_by_place() -> None:
    assert holds([{"name": "b", "x": 1, "y": 2}, {"name": "a"}], [{"name": "a"}, {"name": "b", "x": 1}])
    assert not holds([{"name": "a"}], [{"name": "a"}, {"name": "b"}])
    assert not holds(["b", "a"], ["a", "b"])
    assert not holds(1, True)
