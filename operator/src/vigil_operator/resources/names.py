"""Names and labels of what a Camera owns."""

import hashlib
from typing import Final

CAMERA_LABEL: Final = "vigil.dev/camera"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OPERATOR: Final = "vigil-operator"
CONFIG_HASH: Final = "vigil.dev/config-hash"
"""On the pod template: of all that the stream process reads at its start."""
APPLIED_HASH: Final = "vigil.dev/applied-hash"
"""On every child: of the manifest as it was applied, so that what is no longer wanted in it is told, too."""
INSTALLATION: Final = "vigil.dev/operator"
"""On every child: namespace and name of the Lease of the installation that made it, as `namespace/name`."""
CONTAINER: Final = "stream"
HTTP_PORT: Final = 8080
BUS_TOKEN: Final = "token"  # noqa: S105 - the name of a key
"""Key of a Secret that holds a bus's token."""

_MAX: Final = 63
_PREFIX: Final = "camera-"


def child_name(camera: str) -> str:
    """Name a Camera's children: `camera-<name>`, cut with a hash where that is longer than a DNS label."""
    name = f"{_PREFIX}{camera}"
    if len(name) <= _MAX:
        return name
    suffix = hashlib.sha256(camera.encode()).hexdigest()[:8]
    return f"{name[: _MAX - 9].rstrip('-')}-{suffix}"


def selector(camera: str) -> dict[str, str]:
    """Give the labels that tell a Camera's pods; a Deployment's selector can never change."""
    return {"app.kubernetes.io/name": "vigil-stream", CAMERA_LABEL: camera}


def labels(camera: str) -> dict[str, str]:
    """Give the labels of a Camera's children, as Kubernetes recommends them."""
    return selector(camera) | {
        "app.kubernetes.io/instance": camera,
        "app.kubernetes.io/component": "stream",
        "app.kubernetes.io/part-of": "vigil",
        MANAGED_BY: OPERATOR,
    }
