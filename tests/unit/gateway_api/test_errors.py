"""Every error has a code, and the codes are documented."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from graphql import GraphQLError, GraphQLSyntaxError, Source
from strawberry.types.graphql import OperationType

from vigil_gateway.handlers.graphql.context import RequestContext, Services
from vigil_gateway.handlers.graphql.errors import Code, RequestError, limit_error, mask
from vigil_gateway.handlers.graphql.limits import QueryLimits
from vigil_gateway.handlers.graphql.schema import build_schema
from vigil_gateway.principal import TOKEN_HOLDER, Permission, PermissionDeniedError, Principal

DOCUMENT = Path(__file__).parents[3] / "docs" / "graphql.md"
NOBODY = Principal(TOKEN_HOLDER.kind, "nobody", frozenset())


def denied() -> PermissionDeniedError:
    with pytest.raises(PermissionDeniedError) as error:
        NOBODY.require(Permission.READ_SUBJECTS)
    return error.value


def test_codes_are_documented() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [str(code) for code in Code]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestError(Code.BAD_CURSOR, "no"), Code.BAD_CURSOR),
        (limit_error("depth", 1, 2, "levels"), Code.LIMIT),
        (GraphQLError("no", original_error=RequestError(Code.TIMEOUT, "no")), Code.TIMEOUT),
        (GraphQLError("no", original_error=denied()), Code.FORBIDDEN),
        (GraphQLSyntaxError(Source("{"), 1, "no"), Code.BAD_DOCUMENT),
        (GraphQLError("Variable '$a' got invalid value"), Code.BAD_ARGUMENT),
        (GraphQLError("no", original_error=ValueError("secret")), Code.INTERNAL),
        (GraphQLError("", original_error=GraphQLError("", original_error=ValueError("secret"))), Code.INTERNAL),
    ],
)
def test_masked_errors_have_a_code(error: GraphQLError, code: Code) -> None:
    masked = mask(error)
    assert masked.extensions is not None
    assert masked.extensions["code"] == code
    assert "secret" not in masked.message
    assert mask(masked) is masked


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        ("{ sightings(", {}, Code.BAD_DOCUMENT),
        ("{ nothing }", {}, Code.BAD_DOCUMENT),
        ('{ sightings(first: "one") { nodes { state } } }', {}, Code.BAD_DOCUMENT),
        ("query Page($n: Int) { sightings(first: $n) { nodes { state } } }", {"n": "one"}, Code.BAD_ARGUMENT),
        ("{ sightings(first: 0) { nodes { state } } }", {}, Code.BAD_ARGUMENT),
        ("{ " * 50, {}, Code.LIMIT),
        ("subscription { sightings { seq } }", {}, Code.BAD_ARGUMENT),
        ('{ node(id: "absurd") { id } }', {}, Code.BAD_ID),
        ("{ site { name } }", {}, Code.INTERNAL),
    ],
)
async def test_failing_operations_have_a_code(query: str, variables: dict[str, Any], code: Code) -> None:
    """Without any server: the last one fails since there is no hub."""
    services = SimpleNamespace(limits=QueryLimits())
    context = RequestContext(cast("Services", services), principal=TOKEN_HOLDER, live=False)
    operations = list(OperationType)
    response = await build_schema().execute(
        query, variable_values=variables, context_value=context, allowed_operation_types=operations
    )
    assert [(error.extensions or {})["code"] for error in response.errors or ()] == [code]
