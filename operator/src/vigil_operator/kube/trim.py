"""The part of an object that the cache keeps: what a reconcile may read, and never the value of a Secret.

The values of Secrets and ConfigMaps become SHA-256 digests, which show a change without holding the value. Other
objects lose what nothing reads (`managedFields`, the last-applied annotation, most of a pod's spec), which is most of
the memory of a thousand Cameras.
"""

import base64
import binascii
import hashlib
from typing import Any, Final

from vigil_operator.kube.kinds import Kind, Object

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_POD_SPEC: Final = ("nodeName", "serviceAccountName", "containers", "initContainers")
_POD_STATUS: Final = (
    "phase",
    "reason",
    "message",
    "conditions",
    "containerStatuses",
    "initContainerStatuses",
    "startTime",
    "podIP",
)


def trim(kind: Kind, obj: Object) -> Object:
    """Return what is kept of an object, which itself is not changed."""
    kept = {name: value for name, value in obj.items() if name not in {"apiVersion", "kind"}}
    kept["metadata"] = _metadata(obj.get("metadata") or {})
    if kind is Kind.SECRET:
        kept = {"metadata": kept["metadata"], "type": obj.get("type", ""), "data": _secret_digests(obj)}
    elif kind is Kind.CONFIG_MAP:
        kept = {"metadata": kept["metadata"], "data": _config_digests(obj)}
    elif kind is Kind.POD:
        kept["spec"] = _pod_spec(obj.get("spec") or {})
        kept["status"] = {name: value for name, value in (obj.get("status") or {}).items() if name in _POD_STATUS}
    elif kind is Kind.DEPLOYMENT:
        kept["status"] = {"conditions": _failures(obj)}
    return kept


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _metadata(metadata: Object) -> Object:
    kept = {name: value for name, value in metadata.items() if name not in {"managedFields", "selfLink"}}
    annotations = kept.get("annotations")
    if annotations and _LAST_APPLIED in annotations:
        kept["annotations"] = {name: value for name, value in annotations.items() if name != _LAST_APPLIED}
    return kept


def _secret_digests(obj: Object) -> dict[str, str]:
    found = {name: _of_base64(value) for name, value in (obj.get("data") or {}).items()}
    return found | {name: digest(str(value).encode()) for name, value in (obj.get("stringData") or {}).items()}


def _config_digests(obj: Object) -> dict[str, str]:
    found = {name: _of_base64(value) for name, value in (obj.get("binaryData") or {}).items()}
    return found | {name: digest(str(value).encode()) for name, value in (obj.get("data") or {}).items()}


def _of_base64(value: Any) -> str:  # noqa: ANN401 - whatever the API server gave
    try:
        return digest(base64.b64decode(value or "", validate=True))
    except (binascii.Error, TypeError, ValueError):
        return digest(str(value).encode())


def _failures(deployment: Object) -> list[Object]:
    # The other conditions carry times that change with every pod.
    conditions = (deployment.get("status") or {}).get("conditions") or []
    return [
        {name: one.get(name) for name in ("type", "status", "reason", "message")}
        for one in conditions
        if one.get("type") == "ReplicaFailure"
    ]


def _pod_spec(spec: Object) -> Object:
    kept: Object = {name: spec[name] for name in _POD_SPEC if name in spec}
    for containers in ("containers", "initContainers"):
        if containers in kept:
            kept[containers] = [{"name": one.get("name"), "image": one.get("image")} for one in kept[containers]]
    return kept
