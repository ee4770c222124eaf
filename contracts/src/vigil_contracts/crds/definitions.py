"""A CustomResourceDefinition of each kind."""

from typing import Any

import yaml

from vigil_contracts.crds.columns import COLUMNS, SELECTABLE, Column
from vigil_contracts.crds.structural import Schema, structural
from vigil_contracts.resources import KINDS
from vigil_contracts.resources.common import GROUP, VERSION

PLURALS = {"Camera": "cameras", "Subject": "subjects", "Site": "sites"}
SHORT_NAMES = {"Camera": ["cam"], "Subject": ["subj"], "Site": ["vsite"]}
CATEGORY = "vigil"
HEADER = "# Generated from contracts/ by `make generate`; a change made here is lost.\n"

_ENVELOPE: dict[str, Schema] = {
    "apiVersion": {"description": "Version of the schema that this object is written in.", "type": "string"},
    "kind": {"description": "What this object is.", "type": "string"},
    "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
}
"""The API server checks these itself; the name is there so that a rule's message can point at it."""


def definitions() -> dict[str, str]:
    """Return each file's name and text, one of each kind."""
    return {f"{PLURALS[kind]}.{GROUP}.yaml": _yaml(definition(kind)) for kind in KINDS}


def definition(kind: str) -> dict[str, Any]:
    """Return the definition of one kind as plain data."""
    plural = PLURALS[kind]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "vigil"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": SHORT_NAMES[kind],
                "categories": [CATEGORY],
            },
            "versions": [_version(kind)],
        },
    }


def _version(kind: str) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in COLUMNS[kind]],
        "selectableFields": [{"jsonPath": path} for path in SELECTABLE[kind]],
        "schema": {"openAPIV3Schema": schema(kind)},
    }


def schema(kind: str) -> Schema:
    """Return the structural schema of one kind, as the API server knows it."""
    return structural(KINDS[kind], _ENVELOPE)


def _column(column: Column) -> dict[str, Any]:
    found: dict[str, Any] = {"name": column.name, "type": column.type, "description": column.description}
    if column.wide:
        found["priority"] = 1
    return {**found, "jsonPath": column.path}


class _Dumper(yaml.SafeDumper):
    """Block style with indented lists, and no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's
        return True


def _yaml(data: dict[str, Any]) -> str:
    return HEADER + yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
