"""A pydantic model as a structural schema, the kind of schema that the API server takes.

It has no references, no alternatives and no null: what may be left out is simply not required, and the API server takes
null for left out. Everything has an upper limit, because the API server estimates from it what a CEL rule may cost at
worst, and refuses a definition whose rules could cost too much.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from vigil_contracts.resources.rules import Rule, Ruled

Schema = dict[str, Any]

INT32 = range(-(2**31), 2**31)
_ORDER = (
    "description",
    "type",
    "format",
    "enum",
    "default",
    "pattern",
    "minimum",
    "maximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "x-kubernetes-validations",
)
_KNOWN = {*_ORDER, "title"}


class SchemaError(Exception):
    """A model cannot be expressed as a structural schema; the text names the place."""


class _WithRules(GenerateJsonSchema):
    """Pydantic's own schema, with each model's rules in it."""

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        found = super().model_schema(schema)
        model = schema["cls"]
        if issubclass(model, Ruled) and model.RULES:
            found["x-kubernetes-validations"] = [_validation(rule) for rule in model.RULES]
        return found


def _validation(rule: Rule) -> Schema:
    found = {"rule": rule.cel, "message": rule.message, "reason": rule.reason}
    return {**found, "fieldPath": f".{rule.field}"} if rule.field else found


def structural(model: type[BaseModel], given: Mapping[str, Schema] | None = None) -> Schema:
    """Turn a model into a structural schema.

    Parameters
    ----------
    given
        Schemas that stand in the place of some of its fields.

    Raises
    ------
    SchemaError
        Something in it has no upper limit, is a float, or has no counterpart.
    """
    plain = model.model_json_schema(by_alias=True, schema_generator=_WithRules)
    definitions, given = plain.pop("$defs", {}), given or {}
    own = {name: child for name, child in plain["properties"].items() if name not in given}
    plain["required"] = [name for name in plain.get("required", []) if name in own]
    found = _convert({**plain, "properties": own}, definitions, model.__name__)
    found["properties"] = {**given, **found["properties"]}
    return found


def _convert(schema: Schema, definitions: dict[str, Schema], where: str) -> Schema:
    schema = _resolved(schema, definitions)
    kinds = {"object": _object, "array": _array, "string": _string, "integer": _integer, "boolean": _boolean}
    kind = schema.get("type")
    if kind not in kinds:
        msg = f"{where}: a value of type {kind} has no place in a resource"
        raise SchemaError(msg)
    found = kinds[kind](schema, definitions, where)
    unknown = schema.keys() - _KNOWN
    if unknown:
        msg = f"{where}: {', '.join(sorted(unknown))} is not understood"
        raise SchemaError(msg)
    if "x-kubernetes-validations" in found:
        found["x-kubernetes-validations"] = [
            {key: rule[key] for key in ("rule", "message", "reason", "fieldPath") if key in rule}
            for rule in found["x-kubernetes-validations"]
        ]
    if "description" in found:
        found["description"] = " ".join(found["description"].split())
    return {key: found[key] for key in _ORDER if key in found and found[key] != []}


def _resolved(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Put what a reference or an optional field stands for in its place; what stands beside it has precedence."""
    beside = {key: value for key, value in schema.items() if key not in {"$ref", "anyOf", "const"}}
    if beside.get("default", ...) is None:
        del beside["default"]
    if "$ref" in schema:
        return {**_resolved(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions), **beside}
    if "anyOf" in schema:
        (choice,) = (choice for choice in schema["anyOf"] if choice.get("type") != "null")
        return {**_resolved(choice, definitions), **beside}
    if "const" in schema:
        return {**beside, "enum": [schema["const"]]}
    return beside


def _object(schema: Schema, definitions: dict[str, Schema], where: str) -> Schema:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.pop("additionalProperties", None)
        return schema
    values = schema.get("additionalProperties", False)
    if isinstance(values, dict):
        _require(schema, "maxProperties", where)
        schema["additionalProperties"] = _convert(values, definitions, f"{where}[*]")
        return _without_empty_default(schema)
    if values is True and "properties" not in schema:
        msg = f"{where}: an object of anything must be marked with ANY_OBJECT"
        raise SchemaError(msg)
    schema.pop("additionalProperties", None)
    schema["properties"] = {
        name: _convert(child, definitions, f"{where}.{name}") for name, child in schema["properties"].items()
    }
    if "default" in schema:
        if _without_unset(filled(schema)) != _without_unset(schema["default"]):
            msg = f"{where}: the default {schema['default']} is not what its fields' defaults make"
            raise SchemaError(msg)
        schema["default"] = {}
        if not filled(schema):
            del schema["default"]
    return schema


def filled(schema: Schema) -> Schema:
    """Return what the API server makes of an empty object: the defaults of its fields."""
    found = {}
    for name, child in schema["properties"].items():
        if "default" in child:
            found[name] = filled(child) if child["type"] == "object" else child["default"]
    return found


def _without_unset(default: Schema) -> Schema:
    """Leave out what a default leaves out or empty."""
    kept = {name: _without_unset(value) if isinstance(value, dict) else value for name, value in default.items()}
    return {name: value for name, value in kept.items() if value not in (None, "", [], {})}


def _array(schema: Schema, definitions: dict[str, Schema], where: str) -> Schema:
    _require(schema, "maxItems", where)
    schema["items"] = _convert(schema["items"], definitions, f"{where}[]")
    schema.setdefault("x-kubernetes-list-type", "atomic")
    return _without_empty_default(schema)


def _without_empty_default(schema: Schema) -> Schema:
    """Leave out an empty default, so that `kubectl get -o yaml` is not full of empty lists."""
    if not schema.get("default", True):
        del schema["default"]
    return schema


def _string(schema: Schema, _: dict[str, Schema], where: str) -> Schema:
    if schema.get("format") == "uuid":
        schema["maxLength"] = 36
    elif schema.get("format") != "date-time" and "enum" not in schema:
        _require(schema, "maxLength", where)
    if schema.get("default") == "":
        del schema["default"]
    return schema


def _integer(schema: Schema, _: dict[str, Schema], where: str) -> Schema:
    _require(schema, "minimum", where)
    fits = schema["minimum"] in INT32 and schema.get("maximum", 2**63) in INT32
    schema["format"] = "int32" if fits else "int64"
    return schema


def _boolean(schema: Schema, _definitions: dict[str, Schema], _where: str) -> Schema:
    return schema


def _require(schema: Schema, limit: str, where: str) -> None:
    if limit not in schema:
        msg = f"{where}: {limit} is missing; CEL's cost needs it"
        raise SchemaError(msg)
