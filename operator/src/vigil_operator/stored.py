"""Read Vigil's own kinds as the API server stores them, which may be under another version's, looser schema.

Nothing else reads a spec: content that the contracts do not know must not affect other objects.
"""

import functools
import json

from vigil_contracts.resources import API_VERSION, Camera, CameraSpec, Problem, Resource, Site, SourceType, check
from vigil_contracts.resources.site import SiteSpec
from vigil_operator.kube.kinds import Kind, Object

REMEMBERED = 8192
"""Specs of each kind; admission reads those of all Cameras of a Site for each of them."""

_METADATA = ("name", "namespace", "uid", "generation", "labels")


def read(kind: Kind, obj: Object) -> Resource | list[Problem]:
    """Return an object as the contracts define it, or all problems with it."""
    spec = obj.get("spec") or {}
    return check({"apiVersion": API_VERSION, "kind": kind.value, "metadata": named(obj), "spec": spec})


def named(obj: Object) -> Object:
    """Return the fields of an object's metadata that the contracts know."""
    metadata = obj.get("metadata") or {}
    return {name: metadata[name] for name in _METADATA if name in metadata}


def camera_spec(obj: Object) -> CameraSpec | None:
    """Return the spec of a Camera; None: it is invalid, and nothing in it counts."""
    try:
        return _camera_spec(json.dumps(obj.get("spec") or {}, sort_keys=True))
    except (TypeError, ValueError, RecursionError):
        return None


def site_spec(obj: Object) -> SiteSpec | None:
    """Return the spec of a Site; None: it is invalid, and nothing in it counts."""
    try:
        return _site_spec(json.dumps(obj.get("spec") or {}, sort_keys=True))
    except (TypeError, ValueError, RecursionError):
        return None


def usb_device(obj: Object) -> str | None:
    """Return the device that a Camera reads; None for other sources."""
    spec = camera_spec(obj)
    return spec.source.url if spec is not None and spec.source.type is SourceType.USB else None


@functools.lru_cache(REMEMBERED)
def _camera_spec(text: str) -> CameraSpec | None:
    found = read(Kind.CAMERA, {"metadata": {"name": "any", "namespace": "default"}, "spec": json.loads(text)})
    return found.spec if isinstance(found, Camera) else None


@functools.lru_cache(REMEMBERED)
def _site_spec(text: str) -> SiteSpec | None:
    found = read(Kind.SITE, {"metadata": {"name": "any", "namespace": "default"}, "spec": json.loads(text)})
    return found.spec if isinstance(found, Site) else None
