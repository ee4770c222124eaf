"""Names and labels of what a Camera owns."""

import hashlib
from typing import Any, Final

CAMERA_LABEL: Final = "vigil.dev/camera"
INSTANCE: Final = "app.kubernetes.io/instance"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OPERATOR: Final = "vigil-operator"
NAME: Final = "app.kubernetes.io/name"
STREAM: Final = "vigil-stream"
CONFIG_HASH: Final = "vigil.dev/config-hash"
"""On the pod template: of all that the stream process reads at its start."""
APPLIED_HASH: Final = "vigil.dev/applied-hash"
"""On every child: of the manifest as it was applied, so that a field that is no longer wanted is noticed, too."""
INSTALLATION: Final = "vigil.dev/operator"
"""On every child: namespace and name of the Lease of the installation that made it, as `namespace/name`."""
CONTAINER: Final = "stream"
HTTP_PORT: Final = 8080
BUS_TOKEN: Final = "token"  # noqa: S105 - the name of a key
"""Key of a Secret that holds a bus's token."""

_MAX: Final = 63
_PREFIX: Final = "camera-"


def child_name(camera: str) -> str:
    """Return the name of a Camera's children: `camera-<name>`, cut, with a hash, where it exceeds a DNS label."""
    name = f"{_PREFIX}{camera}"
    if len(name) <= _MAX:
        return name
    suffix = hashlib.sha256(camera.encode()).hexdigest()[:8]
    return f"{name[: _MAX - 9].rstrip('-')}-{suffix}"


def camera_of_pod(pod: dict[str, Any]) -> str | None:
    """Return the name of the Camera that a pod was made for; None: no Camera.

    Its labels may be changed, but its service account is that Camera's and can never change.
    """
    account = str((pod.get("spec") or {}).get("serviceAccountName") or "")
    labels = pod["metadata"].get("labels") or {}
    candidates = (labels.get(CAMERA_LABEL), labels.get(INSTANCE), account.removeprefix(_PREFIX))
    return next((name for name in candidates if name and child_name(name) == account), None)


def selector(camera: str) -> dict[str, str]:
    """Return the labels by which a Camera's pods are selected; a Deployment's selector can never change."""
    return {NAME: STREAM, CAMERA_LABEL: camera}


def labels(camera: str) -> dict[str, str]:
    """Return the labels of a Camera's children, as Kubernetes recommends them."""
    return selector(camera) | {
        INSTANCE: camera,
        "app.kubernetes.io/component": "stream",
        "app.kubernetes.io/part-of": "vigil",
        MANAGED_BY: OPERATOR,
    }
