"""Cameras, wiring and heartbeats for the operator's tests."""

import datetime as dt
from typing import Any

from vigil_contracts.conditions import FitnessReason, SourceReason
from vigil_contracts.events import CameraHeartbeat, CameraRef, CameraState
from vigil_contracts.resources import Camera, check
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.kinds import Kind, Object
from vigil_operator.kube.readable import READABLE_BY
from vigil_operator.resources.wiring import Wiring
from vigil_operator.routes import add_indices
from vigil_operator.settings import Settings

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


def settings(**more: Any) -> Settings:
    return Settings(stream_image="vigil/stream:0.1.0", nats_url="nats://nats:4222", triton_urls="triton:8001", **more)


def camera_object(name: str = "front", version: int = 1, **spec: Any) -> Object:
    """Return a Camera as the API server stores it."""
    source = {"type": "RTSP", "url": "rtsp://10.0.0.5:554/stream1", **spec.pop("source", {})}
    return {
        "apiVersion": "vigil.dev/v1alpha1",
        "kind": "Camera",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": "0b7cbd1c-0000-4000-8000-000000000001",
            "generation": 3,
            "resourceVersion": str(version),
            "creationTimestamp": "2026-05-01T11:00:00Z",
        },
        "spec": {"source": source, **spec},
    }


def camera(name: str = "front", **spec: Any) -> Camera:
    found = check(camera_object(name, **spec))
    assert isinstance(found, Camera), found
    return found


def wiring(given: Settings | None = None, **more: Any) -> Wiring:
    chosen = given or settings()
    values: dict[str, Any] = {
        "settings": chosen,
        "site": "default",
        "nats_url": chosen.nats_url,
        "triton_urls": tuple(chosen.triton_endpoints),
        "bus_secret": chosen.bus_secret,
        "secrets_digest": "0123456789abcdef",
        "replicas": 1,
        "owner_uid": "0b7cbd1c-0000-4000-8000-000000000001",
    }
    return Wiring(**(values | more))


def secret(name: str, version: int = 1, readable_by: str | None = "Camera", **values: str) -> Object:
    labels = {} if readable_by is None else {READABLE_BY: readable_by}
    metadata = {"name": name, "namespace": "default", "resourceVersion": str(version), "labels": labels}
    return {"metadata": metadata, "type": "Opaque", "stringData": values}


def cache(*cameras: Object, given: Settings | None = None, secrets: tuple[Object, ...] = ()) -> Cache:
    made = Cache()
    add_indices(made, given or settings())
    for one in cameras:
        made.put(Kind.CAMERA, one)
    for one in secrets:
        made.put(Kind.SECRET, one)
    return made


def beat(
    state: CameraState = CameraState.STREAMING, reason: SourceReason = SourceReason.CONNECTED, **more: Any
) -> CameraHeartbeat:
    values: dict[str, Any] = {
        "site": "default",
        "camera": CameraRef(namespace="default", name="front"),
        "session_id": "one",
        "state": state,
        "reason": reason,
        "since": NOW,
        "fitness": FitnessReason.NO_FACES_YET,
    }
    return CameraHeartbeat(**(values | more))


def identity_status(*, instances: int, reference_ms: float) -> dict[str, Any]:
    """Return the status of an identity service that nobody is registered with."""
    counts = dict.fromkeys(("cameras", "subjects", "vectors", "lastSeq", "rejectedEvents"), 0)
    detector = {"modelId": "d@1", "instances": instances, "referenceMs": reference_ms}
    return {**counts, "modelId": "m@1", "detector": detector}
