"""The resource types of `vigil.dev/v1alpha1`, and the one way to check a manifest."""

from vigil_contracts.resources.camera import Camera, CameraSpec, SourceType
from vigil_contracts.resources.check import KINDS, Problem, Resource, check
from vigil_contracts.resources.common import API_VERSION, Metadata
from vigil_contracts.resources.site import Site
from vigil_contracts.resources.subject import ConsentStatus, Subject

__all__ = [
    "API_VERSION",
    "KINDS",
    "Camera",
    "CameraSpec",
    "ConsentStatus",
    "Metadata",
    "Problem",
    "Resource",
    "Site",
    "SourceType",
    "Subject",
    "check",
]
