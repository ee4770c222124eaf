"""The page of every field, rule, condition and reason: `python -m vigil_contracts.reference > docs/reference.md`."""

import ast
import inspect
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from vigil_contracts import conditions
from vigil_contracts.crds.columns import COLUMNS, SELECTABLE
from vigil_contracts.crds.definitions import CATEGORY, PLURALS, SHORT_NAMES, schema
from vigil_contracts.registry import PhotoReason
from vigil_contracts.resources import KINDS
from vigil_contracts.resources.common import API_VERSION

HEAD = f"""# Reference

Every field, rule, condition and reason of `{API_VERSION}`, generated from `contracts/` by `make generate`.

`kubectl explain camera.spec.source` prints the same for a field. The API server checks a rule for `kubectl apply`, and
so do `vigil check` and `vigil up` for the same manifest, with the same words.
"""

REASONS: dict[str, tuple[tuple[type[StrEnum], str], ...]] = {
    "Camera": (
        (conditions.CameraReason, "Ready, Streaming, Reconciling, Stalled"),
        (conditions.SourceReason, "SourceReachable, and Streaming and Ready while the source is at fault"),
        (conditions.FitnessReason, "FitForRecognition"),
        (conditions.ClockReason, "ClockSynchronized"),
    ),
    "Subject": (
        (conditions.SubjectReason, "Ready, Enrolled, ConsentValid, Replicated"),
        (PhotoReason, "`status.photos[].reason`"),
    ),
    "Site": ((conditions.SiteReason, "Ready, Connected, InSync"),),
}
"""The reasons of each kind, and the conditions that have them."""

CONDITIONS: dict[str, type[StrEnum]] = {
    "Camera": conditions.CameraCondition,
    "Subject": conditions.SubjectCondition,
    "Site": conditions.SiteCondition,
}


class Meaning(NamedTuple):
    """The meaning of a member of an enumeration, and the remedy."""

    means: str
    remedy: str


def meanings(enumeration: type[StrEnum]) -> dict[str, Meaning]:
    """Return the docstring under each member: its first sentence is the meaning, the others are what to do."""
    tree = ast.parse(inspect.getsource(enumeration)).body[0]
    found: dict[str, Meaning] = {}
    name = ""
    for statement in getattr(tree, "body", []):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and name:
            means, _, remedy = " ".join(str(statement.value.value).split()).partition(". ")
            found[str(enumeration[name])] = Meaning(means.rstrip(".") + ".", remedy)
    return found


def reference() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *(line for kind in KINDS for line in _kind(kind))]).rstrip() + "\n"


def _kind(kind: str) -> Iterator[str]:
    whole = schema(kind)
    names = ", ".join(f"`{name}`" for name in (PLURALS[kind], *SHORT_NAMES[kind]))
    yield f"## {kind}\n"
    yield f"{whole['description']}\n"
    yield f"`kubectl get` knows it as {names}, and all three kinds together as `{CATEGORY}`; "
    yield f"`--field-selector` takes {', '.join(f'`{path[1:]}`' for path in SELECTABLE[kind])}.\n"
    for part in ("spec", "status"):
        yield f"### {kind}: {part}\n"
        yield from _table(("Field", "Type", "Default", "Limits", "Meaning"), _fields(part, whole["properties"][part]))
    yield f"### {kind}: rules\n"
    yield from _table(("Where", "Message", "CEL"), _rules("", whole))
    yield f"### {kind}: columns\n"
    rows = ((c.name.upper(), "`-o wide`" if c.wide else "", f"`{c.path}`", c.description) for c in COLUMNS[kind])
    yield from _table(("Column", "Printed", "From", "Meaning"), rows)
    yield f"### {kind}: conditions\n"
    yield from _table(
        ("Condition", "True means", "More"), ((f"`{k}`", *m) for k, m in meanings(CONDITIONS[kind]).items())
    )
    for enumeration, where in REASONS[kind]:
        yield f"### {kind}: reasons of {where}\n"
        yield from _table(
            ("Reason", "Meaning", "What to do"), ((f"`{k}`", *m) for k, m in meanings(enumeration).items())
        )


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def _fields(path: str, schema: dict[str, Any], *, required: bool = False) -> Iterator[tuple[str, ...]]:
    default = "**required**" if required else _default(schema)
    yield f"`{path}`", _type(schema), default, _limits(schema), schema.get("description", "")
    if schema["type"] == "array" and schema["items"]["type"] == "object":
        path, schema = f"{path}[]", schema["items"]
    for name, child in schema.get("properties", {}).items():
        yield from _fields(f"{path}.{name}", child, required=name in schema.get("required", []))


def _default(schema: dict[str, Any]) -> str:
    if schema["type"] == "object" or "default" not in schema:
        return ""
    value = schema["default"]
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"`{text.lower() if isinstance(value, bool) else text}`"


def _type(schema: dict[str, Any]) -> str:
    if schema["type"] == "array":
        kind = {"map": "list by " + ", ".join(schema.get("x-kubernetes-list-map-keys", [])), "set": "set"}
        return f"{kind.get(schema['x-kubernetes-list-type'], 'list')} of {_type(schema['items'])}"
    if "additionalProperties" in schema:
        return f"map of {_type(schema['additionalProperties'])}"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    return str(schema.get("format", schema["type"]))


def _limits(schema: dict[str, Any]) -> str:
    found = []
    if "minimum" in schema:
        found.append(f"{schema['minimum']} to {schema['maximum']}" if "maximum" in schema else "not negative")
    if "multipleOf" in schema:
        found.append(f"multiples of {schema['multipleOf']}")
    for least, most, what in (
        ("minLength", "maxLength", "characters"),
        ("minItems", "maxItems", "entries"),
        ("", "maxProperties", "entries"),
    ):
        if most in schema:
            found.append(f"{schema[least]} to {schema[most]} {what}" if least in schema else f"≤ {schema[most]} {what}")
    if "pattern" in schema:
        found.append(f"`{schema['pattern']}`")
    return "; ".join(found)


def _rules(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for rule in schema.get("x-kubernetes-validations", []):
        where = f"{path}{rule.get('fieldPath', '')}".removeprefix(".")
        yield f"`{where or 'the object'}`", rule["message"], f"`{rule['rule']}`"
    for name, child in schema.get("properties", {}).items():
        yield from _rules(f"{path}.{name}", child)
    if schema["type"] == "array":
        yield from _rules(f"{path}[]", schema["items"])


if __name__ == "__main__":
    sys.stdout.write(reference())
