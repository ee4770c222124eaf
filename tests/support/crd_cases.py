"""One row for every rule of the custom resource definitions: what it takes, what it refuses, and with which words."""

from copy import deepcopy

from tests.support.crd_cases_base import Case, Document, camera, region, rtsp, site, subject
from tests.support.crd_cases_camera import CAMERAS
from tests.support.crd_cases_site import SITES
from tests.support.crd_cases_subject import SUBJECTS
from tests.support.crd_cases_text import TEXTS

from vigil_contracts.crds import definition
from vigil_contracts.resources import KINDS

__all__ = ["CASES", "Case", "Document", "camera", "ids", "region", "rtsp", "rules", "site", "subject"]

CASES = CAMERAS + SUBJECTS + SITES + TEXTS


def rules() -> set[tuple[str, str, str]]:
    """List every rule that the generated definitions carry, as (kind, path of its object, message)."""
    return {(kind, path.removeprefix("."), message) for kind in KINDS for path, message in _rules("", _schema(kind))}


def _schema(kind: str) -> Document:
    found: Document = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return deepcopy(found)


def _rules(path: str, schema: Document) -> list[tuple[str, str]]:
    found = [(path, rule["message"]) for rule in schema.get("x-kubernetes-validations", [])]
    for name, child in schema.get("properties", {}).items():
        found += _rules(f"{path}.{name}", child)
    for word, mark in (("items", "[]"), ("additionalProperties", "[*]")):
        if isinstance(schema.get(word), dict):
            found += _rules(f"{path}{mark}", schema[word])
    return found


def ids(case: Case) -> str:
    return f"{case.kind}: {case.message}"
