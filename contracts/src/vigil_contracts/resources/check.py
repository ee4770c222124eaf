"""Check one manifest against the contracts and list all its faults at once."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from vigil_contracts.addresses import hide_secrets
from vigil_contracts.resources.camera import Camera
from vigil_contracts.resources.common import API_VERSION
from vigil_contracts.resources.problem import Problem
from vigil_contracts.resources.rules import BROKEN_RULES
from vigil_contracts.resources.site import Site
from vigil_contracts.resources.subject import Subject
from vigil_contracts.text import holds_half, joined

Resource = Camera | Subject | Site
KINDS: dict[str, type[Resource]] = {"Camera": Camera, "Subject": Subject, "Site": Site}


def check(document: Mapping[str, Any]) -> Resource | list[Problem]:
    """Return the resource of one manifest, or the list of all its faults.

    Parameters
    ----------
    document
        One manifest as plain data, as read from YAML or JSON. As for the API server, null means left out, and `status`
        is ignored, because the system writes it.
    """
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        return [Problem(("kind",), f"{kind!r} is none of Vigil's kinds ({', '.join(KINDS)})")]
    if document.get("apiVersion") != API_VERSION:
        return [Problem(("apiVersion",), f"{document.get('apiVersion')!r} is not {API_VERSION}")]
    try:
        plain = _plain({key: value for key, value in document.items() if key != "status"})
    except RecursionError:
        return [Problem((), "is nested too deeply, or holds itself (a YAML alias inside its own anchor)")]
    if halves := list(_half_characters(plain, ())):
        return halves
    lean = _without_nulls(plain)
    unknown = _unknown_nulls(plain, KINDS[kind]) if lean != plain else []
    try:
        resource = _parse(lean, KINDS[kind])
    except ValidationError as error:
        return unknown + _all_problems(lean, KINDS[kind], error)
    return unknown or resource


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - plain data of any shape
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value


def _unknown_nulls(plain: dict[str, Any], model: type[Resource]) -> list[Problem]:
    """List the unknown fields among those that are null: the slip of the pen is in their name."""
    try:
        _parse(plain, model)
    except ValidationError as error:
        unknown = [one for one in error.errors() if one["type"] == "extra_forbidden" and one["input"] is None]
        return [problem for details in unknown for problem in _problems(details, model)]
    return []


def _parse(plain: dict[str, Any], model: type[Resource]) -> Resource:
    """Parse as the API server does: "yes" is no boolean and "5" no number."""
    return model.model_validate_json(json.dumps(plain), strict=True, by_alias=True, by_name=False)


def _all_problems(plain: dict[str, Any], model: type[Resource], error: ValidationError) -> list[Problem]:
    """List also what the first errors hide: rules between fields are checked only when every field is right."""
    found = [problem for details in error.errors() for problem in _problems(details, model)]
    removed = {path for details in error.errors() for path in _faulty_values(details)}
    for path in removed:
        _remove(plain, path)
    removed |= {details["loc"] for details in error.errors()}  # what is broken in them now, the removal broke
    try:
        _parse(plain, model)
    except ValidationError as hidden:
        later = [details for details in hidden.errors() if details["loc"] not in removed]
        found += [problem for details in later for problem in _problems(details, model)]
    return found


def _faulty_values(details: ErrorDetails) -> list[tuple[str | int, ...]]:
    """Return the paths of the values at fault: of a broken rule those of its fields, not the whole object."""
    path = tuple(details["loc"])
    if details["type"] != BROKEN_RULES:
        return [path]
    return [(*path, *(part for part in field.split(".") if part)) for field, _ in details["ctx"]["broken"]]


def _remove(plain: Any, path: tuple[str | int, ...]) -> None:  # noqa: ANN401 - plain data of any shape
    for part in path[:-1]:
        try:
            plain = plain[part]
        except (KeyError, IndexError, TypeError):
            return
    if path and isinstance(plain, dict):
        plain.pop(path[-1], None)


def _plain(value: Any) -> Any:  # noqa: ANN401 - plain data of any shape
    """Leave only what JSON has. YAML reads an unquoted timestamp as a date, the API server as the text it was."""
    if isinstance(value, Mapping):
        return {_key(key): _plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(child) for child in value]
    if isinstance(value, str):
        return joined(value)
    if value is None or isinstance(value, int | float | bool):
        return value
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def _key(key: object) -> str:
    return joined(key) if isinstance(key, str) else str(_plain(key))


def _half_characters(value: Any, path: tuple[str | int, ...]) -> Iterator[Problem]:  # noqa: ANN401 - as above
    """Yield a problem for each text with half of a character in it, which no program could send on."""
    if isinstance(value, str) and holds_half(value):
        yield Problem(path, "holds half of a character (a lone surrogate), which is no text; remove it")
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in entries:
        if isinstance(key, str) and holds_half(key):
            yield Problem(path, "has a key with half of a character (a lone surrogate) in it; correct the key")
        else:
            yield from _half_characters(child, (*path, key))


def _problems(details: ErrorDetails, model: type[Resource]) -> list[Problem]:
    path = tuple(details["loc"])
    if details["type"] == BROKEN_RULES:
        return [Problem((*path, field) if field else path, message) for field, message in details["ctx"]["broken"]]
    if details["type"] == "extra_forbidden":
        return [Problem(path, f"unknown field{_suggestion(path, model)}")]
    if details["type"] == "missing":
        return [Problem(path, "is required")]
    message = hide_secrets(details["msg"].removeprefix("Value error, "))
    given = details["input"]
    shown = (
        f" (given: {hide_secrets(repr(given))})"
        if isinstance(given, str | int | float | bool) and details["type"] != "value_error"
        else ""
    )
    return [Problem(path, f"{message[0].lower()}{message[1:]}{shown}")]


def _suggestion(path: tuple[str | int, ...], model: type[Resource]) -> str:
    schema: dict[str, Any] = model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    for part in path[:-1]:
        schema = _step(schema, part, definitions)
    known = list(_resolve(schema, definitions).get("properties", {}))
    close = get_close_matches(str(path[-1]), known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(known)}" if known else ""


def _step(schema: dict[str, Any], part: str | int, definitions: dict[str, Any]) -> dict[str, Any]:
    schema = _resolve(schema, definitions)
    child = schema.get("items", {}) if isinstance(part, int) else schema.get("properties", {}).get(part, {})
    return child if isinstance(child, dict) else {}


def _resolve(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    for choice in schema.get("anyOf", []):
        if choice.get("type") != "null":
            return _resolve(choice, definitions)
    reference = schema.get("$ref")
    return definitions[reference.rsplit("/", 1)[-1]] if reference else schema
