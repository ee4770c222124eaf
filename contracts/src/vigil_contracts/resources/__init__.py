"""The resource types of `vigil.dev/v1alpha1`, and the one way to check a manifest."""

from vigil_contracts.resources.camera import Camera, CameraSpec, CameraStatus, SourceType
from vigil_contracts.resources.changes import check_update
from vigil_contracts.resources.check import KINDS, Resource, check
from vigil_contracts.resources.common import API_VERSION, Metadata
from vigil_contracts.resources.problem import Problem
from vigil_contracts.resources.retention import retention_problem
from vigil_contracts.resources.site import Site, SiteStatus
from vigil_contracts.resources.subject import ConsentStatus, Subject, SubjectStatus
from vigil_contracts.resources.withdrawal import withdrawal

__all__ = [
    "API_VERSION",
    "KINDS",
    "Camera",
    "CameraSpec",
    "CameraStatus",
    "ConsentStatus",
    "Metadata",
    "Problem",
    "Resource",
    "Site",
    "SiteStatus",
    "SourceType",
    "Subject",
    "SubjectStatus",
    "check",
    "check_update",
    "retention_problem",
    "withdrawal",
]
