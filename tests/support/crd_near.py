"""Manifests that are right but for one place, where something stands that may or may not be right."""

import copy
import datetime as dt
from typing import Any

from hypothesis import strategies as st
from tests.support.crd_cases import CASES, Document

from vigil_contracts.crds import definition

RIGHT = [one for case in CASES for one in case.accepted]
"""Whatever the rules take, as a beginning."""

ODD: st.SearchStrategy[Any] = st.sampled_from([None, True, 0, -1, 1.5, "", "x", [], {}, [None], {"a": 1}])


def near_misses() -> st.SearchStrategy[Document]:
    """Return right manifests with one value changed, around the limits of its schema or beyond them."""
    return st.sampled_from(RIGHT).flatmap(_changed)


def _changed(right: Document) -> st.SearchStrategy[Document]:
    whole = definition(right["kind"])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return st.sampled_from(_places(("spec",), whole, right["spec"])).flatmap(
        lambda place: _value(place[0][-1], place[1]).map(lambda value: _with(right, place[0], value))
    )


Path = tuple[str | int, ...]


def _places(path: Path, schema: Document, value: Any) -> list[tuple[Path, Document]]:
    """List the places in a manifest that its schema describes, and one undescribed place in each object."""
    found: list[tuple[Path, Document]] = []
    if isinstance(value, dict) and "properties" in schema:
        found.append(((*path, "unheardOf"), {"type": "unknown"}))
        for name, child in schema["properties"].items():
            found.append(((*path, name), child))
            found += _places((*path, name), child, value.get(name, {} if child["type"] == "object" else None))
    if isinstance(value, list) and "items" in schema:
        for index, child in enumerate(value):
            found.append(((*path, index), schema["items"]))
            found += _places((*path, index), schema["items"], child)
    return found


def _value(name: str | int, schema: Document) -> st.SearchStrategy[Any]:
    if name == "timezone":  # the API server knows the form of a time zone's name, not the names
        return st.sampled_from(["UTC", "Europe/Berlin", "", "a b"])
    right = _fitting(schema)
    # the API server takes any list for a string that has a format; the operator then reports InvalidSpec
    odd = ODD.filter(lambda value: not isinstance(value, list)) if schema.get("format") == "date-time" else ODD
    return st.one_of(right, right, right, odd)


def _fitting(schema: Document) -> st.SearchStrategy[Any]:
    match schema["type"]:
        case "integer":
            return _integers(schema)
        case "string":
            return _strings(schema)
        case "boolean":
            return st.booleans()
        case "object":
            return _objects(schema)
        case "array":
            return st.lists(_value("", schema["items"]), max_size=min(schema["maxItems"], 4) + 1)
        case _:
            return ODD


def _integers(schema: Document) -> st.SearchStrategy[int]:
    edges = [schema[limit] + step for limit in ("minimum", "maximum") if limit in schema for step in (-1, 0, 1)]
    return st.sampled_from(edges)


def _strings(schema: Document) -> st.SearchStrategy[str]:
    if "enum" in schema:
        return st.sampled_from([*schema["enum"], schema["enum"][0].lower()])
    if schema.get("format") == "date-time":
        moments = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)).map(dt.datetime.isoformat)  # noqa: DTZ001 - zones are added
        return st.builds(lambda moment, zone: moment + zone, moments, st.sampled_from(["Z", "+01:00", "-23:59", ""]))
    lengths = st.sampled_from([schema["maxLength"], schema["maxLength"] + 1]).map(lambda size: "a" * size)
    if "pattern" in schema:
        return st.one_of(st.from_regex(schema["pattern"], fullmatch=True), st.text(max_size=5), lengths)
    return st.one_of(st.text(max_size=70), lengths)


def _objects(schema: Document) -> st.SearchStrategy[Document]:
    if "properties" not in schema:
        values = schema.get("additionalProperties", {"type": "string", "maxLength": 5})
        return st.dictionaries(st.text(st.characters(codec="ascii"), max_size=5), _value("", values), max_size=3)
    needed = schema.get("required", [])
    optional = {name: _value(name, one) for name, one in schema["properties"].items() if name not in needed}
    required = {name: _value(name, schema["properties"][name]) for name in needed}
    return st.fixed_dictionaries(required, optional=optional)


def _with(right: Document, path: Path, value: Any) -> Document:
    changed = copy.deepcopy(right)
    inner: Any = changed
    for part in path[:-1]:
        inner = inner.setdefault(part, {}) if isinstance(inner, dict) else inner[part]
    inner[path[-1]] = value
    return changed
