"""Build the manifests of a Camera's children from the Camera and its wiring."""

import json
from typing import Any, Final

from vigil_contracts.resources import API_VERSION, Camera
from vigil_operator.kube.compare import fingerprint
from vigil_operator.kube.kinds import ADDRESSES, CHILD_KINDS, Kind, Object
from vigil_operator.resources.deployment import deployment
from vigil_operator.resources.names import APPLIED_HASH, HTTP_PORT, INSTALLATION, child_name, labels, selector
from vigil_operator.resources.network import network_policy
from vigil_operator.resources.wiring import Wiring, installation

CAMERA_FILE: Final = "camera.json"

NOT_READ_BY_THE_STREAM: Final[dict[str, Any]] = {
    "site_ref": True,
    "retention": True,
    "scheduling": True,
    "suspend": True,
    "preview": True,
    "recognition": {"threshold_permille"},
}
"""Parts of the spec that the stream process does not read; a change of them restarts no pod."""


def children(camera: Camera, wiring: Wiring) -> list[tuple[Kind, Object]]:
    """Return the manifests that a Camera needs, in the order in which they are applied."""
    content = camera_json(camera)
    made: dict[Kind, Object | None] = {
        Kind.SERVICE_ACCOUNT: {"automountServiceAccountToken": False},
        Kind.CONFIG_MAP: {"data": {CAMERA_FILE: content}},
        Kind.NETWORK_POLICY: {"spec": network_policy(camera, wiring)} if wiring.settings.network_policy else None,
        Kind.POD_MONITOR: {"spec": _pod_monitor(camera)} if wiring.settings.monitoring == "PodMonitor" else None,
        Kind.DEPLOYMENT: {"spec": deployment(camera, wiring, content)},
    }
    return [(kind, _child(kind, camera, wiring, body)) for kind in CHILD_KINDS if (body := made[kind]) is not None]


def camera_json(camera: Camera) -> str:
    """Return the Camera as its stream process reads it: the same text for the same meaning.

    Fields at their defaults are left out, so that a new field in a later version restarts no pod.
    """
    spec = camera.spec.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude_none=True, exclude=NOT_READ_BY_THE_STREAM
    )
    document = {
        "apiVersion": API_VERSION,
        "kind": "Camera",
        "metadata": {"name": camera.metadata.name, "namespace": camera.metadata.namespace},
        "spec": {name: value for name, value in spec.items() if value != {}},
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _child(kind: Kind, camera: Camera, wiring: Wiring, body: Object) -> Object:
    name = camera.metadata.name
    manifest = {
        "apiVersion": ADDRESSES[kind].api_version,
        "kind": kind.value,
        "metadata": {
            "name": child_name(name),
            "namespace": camera.metadata.namespace,
            "labels": {**(wiring.settings.pod_monitor_labels if kind is Kind.POD_MONITOR else {}), **labels(name)},
            "ownerReferences": [_owner(camera, wiring)],
        },
        **body,
    }
    manifest["metadata"]["annotations"] = {
        APPLIED_HASH: fingerprint(manifest),
        INSTALLATION: installation(wiring.settings),
    }
    return manifest


def _owner(camera: Camera, wiring: Wiring) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": "Camera",
        "name": camera.metadata.name,
        "uid": wiring.owner_uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _pod_monitor(camera: Camera) -> Object:
    return {
        "selector": {"matchLabels": selector(camera.metadata.name)},
        "podMetricsEndpoints": [{"portNumber": HTTP_PORT, "path": "/metrics"}],
        "podTargetLabels": ["vigil.dev/camera"],
    }
