"""The objects that are reconciled when one changes: a table."""

from typing import Any

import pytest
from tests.unit.operator.builders import cache, camera_object, secret, settings

from vigil_operator.kube.cache import Cache
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.queue import WorkQueue
from vigil_operator.resources.names import child_name
from vigil_operator.routes import Router


def obj(name: str, version: int = 2, **more: Any) -> Object:
    metadata = {"name": name, "namespace": "default", "resourceVersion": str(version), **more.pop("metadata", {})}
    return {"metadata": metadata, **more}


def child(name: str, camera: str) -> Object:
    return obj(name, metadata={"labels": {"vigil.dev/camera": camera}})


def pod(account: str, **labels: str) -> Object:
    return obj("camera-x-1", metadata={"labels": labels}, spec={"serviceAccountName": account})


SUBJECT = obj("ann", 1, spec={"photos": [{"name": "a", "secretKeyRef": {"name": "faces", "key": "a"}}, {"name": "b"}]})
SITE = obj("hall", 1, spec={"bus": {"credentialsSecretRef": {"name": "hall-bus"}}})
LONG = "a" * 60
USB = {"type": "USB", "url": "/dev/video0"}


@pytest.fixture
def seen() -> Cache:
    made = cache(
        camera_object("front", source={"credentialsSecretRef": {"name": "login"}}),
        camera_object("back", siteRef={"name": "hall"}),
        camera_object("desk", source=USB),
    )
    made.put(Kind.SUBJECT, SUBJECT)
    made.put(Kind.SITE, SITE)
    return made


TABLE: dict[str, tuple[Kind, Object, set[str]]] = {
    "a camera": (
        Kind.CAMERA,
        camera_object("back", 2, siteRef={"name": "hall"}, suspend=True),
        {"Camera/back", "Site/hall"},
    ),
    "a camera on a device": (
        Kind.CAMERA,
        camera_object("desk-2", 2, source=USB),
        {"Camera/desk", "Camera/desk-2", "Site/default"},
    ),
    "a login": (Kind.SECRET, secret("login", username="a"), {"Camera/front"}),
    "a site's bus token": (Kind.SECRET, secret("hall-bus", token="a"), {"Camera/back"}),
    "the bus token": (Kind.SECRET, secret("vigil-bus", token="a"), {"Camera/front", "Camera/back", "Camera/desk"}),
    "photos": (Kind.SECRET, secret("faces", a="1"), {"Subject/ann"}),
    "a secret of others": (Kind.SECRET, secret("other", a="1"), set()),
    "a site": (Kind.SITE, obj("hall", spec={}), {"Site/hall", "Camera/back"}),
    "a pod": (Kind.POD, pod("camera-front", **{"vigil.dev/camera": "front"}), {"Camera/front"}),
    "a pod without its labels": (Kind.POD, pod("camera-front"), {"Camera/front"}),
    "a pod with another's label": (Kind.POD, pod("camera-front", **{"vigil.dev/camera": "back"}), {"Camera/front"}),
    "a pod of a long name": (
        Kind.POD,
        pod(child_name(LONG), **{"app.kubernetes.io/instance": LONG}),
        {f"Camera/{LONG}"},
    ),
    "a stranger's pod with our label": (Kind.POD, pod("default", **{"vigil.dev/camera": "front"}), set()),
    "a child": (Kind.DEPLOYMENT, child("camera-front", "front"), {"Camera/front"}),
    "a stranger's": (Kind.CONFIG_MAP, obj("theirs"), set()),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_change_concerns(seen: Cache, name: str) -> None:
    kind, changed, affected = TABLE[name]
    queue: WorkQueue[Key] = WorkQueue()
    router = Router(seen, queue, settings())
    queued: set[str] = set()
    seen.listen(lambda change: queued.update(f"{key.kind}/{key.name}" for key in router.affected(change)))
    seen.put(kind, changed)
    assert queued == affected
    assert len(queue) == len(affected)


def test_another_resource_version_alone_concerns_nobody(seen: Cache) -> None:
    queue: WorkQueue[Key] = WorkQueue()
    Router(seen, queue, settings())
    seen.put(Kind.CAMERA, camera_object("desk", 7, source=USB))
    assert len(queue) == 0
