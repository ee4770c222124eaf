"""The trace of a request in the log records of the program."""

import json
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from vigil_gateway.http.trace import TraceContext
from vigil_runtime.logs import JsonFormatter

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of a program that responds with a log line of its own."""
    app = FastAPI()

    @app.get("/")
    async def log_line() -> str:
        record = logging.LogRecord("test", logging.INFO, "", 0, "handled", None, None)
        return JsonFormatter("api", {}).format(record)

    app.add_middleware(TraceContext)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as found:
        yield found


@pytest.mark.parametrize(
    ("header", "trace_id"),
    [
        (None, None),
        (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
        (f"cc-{TRACE}-00f067aa0ba902b7-01-of-a-later-version", TRACE),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}", None),
    ],
)
async def test_log_lines_carry_the_trace_of_the_request(
    client: httpx.AsyncClient, header: str | None, trace_id: str | None
) -> None:
    """A header that is not valid is ignored, as the standard demands."""
    response = await client.get("/", headers={} if header is None else {"traceparent": header})
    assert json.loads(response.json()).get("trace_id") == trace_id
