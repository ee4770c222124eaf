"""The registry refuses for good what can never be stored, and asks for another attempt where one may succeed."""

import json

import asyncpg
import pytest
from starlette.requests import Request

from vigil_gateway.handlers.rest.registry import HANDLED, error_response
from vigil_gateway.storage.errors import DatabaseAwayError

REQUEST = Request({"type": "http"})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (asyncpg.DataError("invalid input for query argument $9: date value out of range"), 422),
        (asyncpg.CharacterNotInRepertoireError("invalid byte sequence for encoding UTF8: 0x00"), 422),
        (asyncpg.UntranslatableCharacterError("unsupported Unicode escape sequence"), 422),
        (OverflowError("date value out of range"), 422),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), 422),
        (DatabaseAwayError("the database is away"), 503),
    ],
)
def test_never_ends_is_refused_for_good_with_its_reason(error: Exception, status: int) -> None:
    """never-ends: identity answered 500, and the same Subject was sent again for ever."""
    assert isinstance(error, HANDLED)
    response = error_response(REQUEST, error)
    assert response.status_code == status
    assert str(error) in json.loads(bytes(response.body))["detail"]
