"""JSON schemas for kubeconform, made from what Kubernetes and the other projects publish inside their Go modules.

The usual source of such schemas is a web site. These are made of the same files, pinned by the same checksums as the
programs of the test clusters: Kubernetes' own OpenAPI document, and the CRDs of the Prometheus operator and of the
Gateway API. Strict: a field that a schema does not know is an error.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from tests.support.kubernetes.programs import SOURCES
from tests.support.shared import missing

from vigil_cli.standalone.servers.go_build import find_go

Schema = dict[str, Any]

CRDS = {
    "github.com/prometheus-operator/prometheus-operator": "example/prometheus-operator-crd/*.yaml",
    "sigs.k8s.io/gateway-api": "config/crd/standard/gateway*.yaml",
}
"""Go module to the files in it."""

MODULES = Path(__file__).parent / "modules"
"""A go.mod that pins where the CRDs come from; nothing of them is built."""

DOWNLOAD_S = 120.0
_LOOSE: dict[str, Schema] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"anyOf": [{"type": "number"}, {"type": "string"}]},
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": {},
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": {},
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": {},
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": {},
}
"""Definitions whose published form says less than what is accepted."""


def write_schemas(folder: Path, own_crds: Path) -> Path:
    """Write a file for every kind, and give the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    kubernetes = _module("k8s.io/kubernetes", SOURCES / "kubernetes")
    document = json.loads((kubernetes / "api" / "openapi-spec" / "swagger.json").read_text())
    for name, schema in _kinds_of_kubernetes(document["definitions"]):
        (folder / name).write_text(json.dumps(schema))
    for path in [*foreign_crds(), *own_crds.glob("*.yaml")]:
        for name, schema in _kinds_of_crd(path):
            (folder / name).write_text(json.dumps(schema))
    return folder


def foreign_crds() -> list[Path]:
    """Return the files with the CRDs of other projects that the chart or the operator uses."""
    return [path for module, pattern in CRDS.items() for path in _module(module, MODULES).glob(pattern)]


def file_name(kind: str, group: str, version: str) -> str:
    """Name a kind's file as kubeconform asks for it: `{{.ResourceKind}}{{.KindSuffix}}.json`."""
    return "-".join([kind.lower(), *([group.split(".", maxsplit=1)[0]] if group else []), version]) + ".json"


def _module(name: str, within: Path) -> Path:
    go = find_go()
    if go is None:
        missing("Go, with which schemas are fetched")
    done = subprocess.run(
        [str(go), "mod", "download", "-json", name],
        cwd=within,
        env={**os.environ, "GOWORK": "off", "GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
        timeout=DOWNLOAD_S,
        check=False,
    )
    if done.returncode:
        missing(f"the Go module {name} ({done.stderr.strip() or done.stdout.strip()})")
    return Path(json.loads(done.stdout)["Dir"])


def _kinds_of_kubernetes(definitions: dict[str, Schema]) -> Iterator[tuple[str, Schema]]:
    strict = {name: _LOOSE.get(name) or _strict(each) for name, each in definitions.items()}
    for name, each in definitions.items():
        for gvk in each.get("x-kubernetes-group-version-kind", []):
            reachable: dict[str, Schema] = {}
            _collect(name, strict, reachable)
            root = {"$ref": f"#/definitions/{name}", "definitions": reachable}
            yield file_name(gvk["kind"], gvk["group"], gvk["version"]), root


def _collect(name: str, known: dict[str, Schema], into: dict[str, Schema]) -> None:
    if name in into:
        return
    into[name] = known[name]
    for reference in _references(known[name]):
        _collect(reference, known, into)


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield reference.removeprefix("#/definitions/")
        for each in schema.values():
            yield from _references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)


class _Loader(yaml.CSafeLoader):
    """Reads a lone `=`, which YAML 1.1 reserves, as the text that it is in these files."""


def _as_text(loader: _Loader, node: yaml.Node) -> object:
    assert isinstance(node, yaml.ScalarNode)
    return loader.construct_scalar(node)


_Loader.add_constructor("tag:yaml.org,2002:value", _as_text)


def _kinds_of_crd(path: Path) -> Iterator[tuple[str, Schema]]:
    spec = yaml.load(path.read_text(), _Loader)["spec"]  # noqa: S506 - it is a safe one
    for version in spec["versions"]:
        schema = _strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        yield file_name(spec["names"]["kind"], spec["group"], version["name"]), schema


def _strict(schema: Schema) -> Schema:
    """Refuse what is not named, wherever names are given; drop what only Kubernetes understands."""
    found: Schema = {}
    for key, value in schema.items():
        if key.startswith("x-kubernetes-") or key in {"nullable", "format"}:
            continue
        if key == "properties":
            found[key] = {name: _strict(each) for name, each in value.items()}
        elif isinstance(value, dict) and key in {"items", "additionalProperties", "not"}:
            found[key] = _strict(value)
        elif key in {"allOf", "anyOf", "oneOf"}:
            found[key] = value  # these only narrow down what `properties` beside them names
        else:
            found[key] = value
    if schema.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
    loose = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in schema and not loose:
        found["additionalProperties"] = False
    return found
