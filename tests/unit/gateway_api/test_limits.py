"""Absurd documents are refused before they cost anything, with the limit and what was given."""

from typing import Any

import pytest
from graphql import get_introspection_query, get_operation_ast, parse, validate

from vigil_gateway.handlers.graphql.errors import RequestError
from vigil_gateway.handlers.graphql.limits import QueryLimits, check_document, check_text
from vigil_gateway.handlers.graphql.schema import build_schema

LIMITS = QueryLimits()
EVERYTHING = """{ sightings(first: 200) { pageInfo { hasNextPage endCursor } edges { cursor node {
    id revision state site camera { namespace name } openedAt lastSeenAt closedAt closeReason frames
    bestShot { capturedAt box { x y width height } landmarks { x y } confidence
        quality { score facePixels sharpness brightness yawDegrees pitchDegrees rollDegrees } }
    identity { status subject { subjectId namespace name displayName }
        similarity runnerUpSimilarity threshold margin modelId decidedAt } } } } }"""


def refusal(query: str, variables: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Return the details of a document's error; None when it may pass."""
    try:
        check_text(query, LIMITS)
    except RequestError as error:
        return error.extensions
    document = parse(query)
    operation = get_operation_ast(document)
    assert operation is not None
    found = check_document(document, operation, variables or {}, LIMITS)
    return None if found is None else found.extensions


@pytest.mark.parametrize(
    ("query", "variables", "limit", "given"),
    [
        ("{ a }" + " " * 20_000, {}, "chars", 20_005),
        ("{ " + "a " * 1_500 + "}", {}, "tokens", 1_502),
        ("{a" * 300 + "}" * 300, {}, "nesting", 300),
        ("{ a(x: " + "[" * 50 + "]" * 50 + ") }", {}, "nesting", 52),
        ("{ " + "a { " * 12 + "a" + " }" * 13, {}, "depth", 13),
        ("{ ...F } fragment F on Query { " + "a { " * 12 + "a" + " }" * 13, {}, "depth", 13),
        ("{ " + " ".join(f"a{n}: status {{ version }}" for n in range(21)) + " }", {}, "aliases", 21),
        ("{ a: sightings(first: 200) { edges { node { identity { " + "status " * 100 + "} } } } }", {}, "cost", 20_601),
        (
            "query($n: Int) { sightings(first: $n) { edges { node { identity { " + "status " * 100 + "} } } } }",
            {"n": 200},
            "cost",
            20_601,
        ),
        (
            "query($n: Int = 200) { sightings(last: $n) { edges { node { identity { " + "status " * 100 + "} } } } }",
            {},
            "cost",
            20_601,
        ),
        (
            "{ nodes(ids: [" + "1 " * 200 + "]) { ... on Sighting { identity { " + "status " * 100 + "} } } }",
            {},
            "cost",
            20_201,
        ),
        ("query($i: [ID!]!) { nodes(ids: $i) { " + "id " * 101 + "} }", {"i": ["x"] * 200}, "cost", 20_201),
        (
            "query($m: Int) { sightings(first: $m, last: 200) { edges { node { id identity { "
            + "status " * 100
            + "} } } } }",
            {"m": None},
            "cost",
            20_801,
        ),
    ],
)
def test_documents_over_a_limit_are_refused(query: str, variables: dict[str, Any], limit: str, given: int) -> None:
    found = refusal(query, variables)
    assert found is not None
    assert (found["code"], found["limit"], found["given"]) == ("LIMIT", limit, given)
    assert found["allowed"] == getattr(LIMITS, limit)


@pytest.mark.parametrize(
    "query",
    [
        EVERYTHING,
        get_introspection_query(),
        "subscription { sightings { cursor " + "revision " * 300 + "} }",
        "{ a { ...F } } fragment F on X { b { ...G } } fragment G on Y { c }",
        "{ ...Missing }",
        "{ ...F } fragment F on Query { ...F }",
    ],
)
def test_allowed_or_left_to_validation(query: str) -> None:
    assert refusal(query) is None


def test_circles_of_fragments_end() -> None:
    found = refusal("{ ...F } fragment F on Query { a { ...F b { ...F } } }")
    assert found is not None
    assert (found["limit"], found["given"]) == ("depth", 100)


def test_spreads_of_spreads_stay_cheap() -> None:
    """2^30 fields by 30 fragments, each of which spreads the next twice, are counted without being walked."""
    fragments = " ".join(f"fragment F{n} on Q {{ ...F{n + 1} ...F{n + 1} }}" for n in range(30))
    found = refusal("{ ...F0 } " + fragments + " fragment F30 on Q { a }")
    assert found is not None
    assert (found["limit"], found["given"]) == ("cost", 2**30)


def test_introspection_is_valid_and_its_depth_is_limited() -> None:
    schema = build_schema()._schema
    assert validate(schema, parse(EVERYTHING)) == []
    assert validate(schema, parse(get_introspection_query())) == []
    nested = "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }"
    assert [error.message for error in validate(schema, parse(nested))] == ["Maximum introspection depth exceeded"]
