"""The limits of the API, each with its unit and reason; settable as VIGIL_API_<NAME>."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ApiLimits(BaseSettings):
    """Bounds of one API process."""

    model_config = SettingsConfigDict(env_prefix="VIGIL_API_", frozen=True, use_attribute_docstrings=True)

    max_connections: Annotated[int, Field(ge=1)] = 5_500
    """WebSockets open at once: 5,000 subscribers and those that reconnect."""
    max_operations: Annotated[int, Field(ge=1)] = 50
    """Subscriptions (and queries) at once on one WebSocket."""
    max_unauthenticated: Annotated[int, Field(ge=10)] = 6_000
    """Connections that have not sent a request or the token: more than may reconnect at once. Of more, the oldest is
    closed."""
    head_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """Seconds for a client to send the headers of a request."""
    body_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """Seconds for a client to send a request's body, and one more for every 16 KiB of it."""
    init_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """Seconds for a client to send connection_init."""
    max_replays: Annotated[int, Field(ge=1)] = 4
    """Subscriptions of one WebSocket that read old events from Postgres at once; the others wait for them."""
    max_queries: Annotated[int, Field(ge=1)] = 8
    """Queries of one principal at once, at most one less than `database_connections`; the others wait."""
    max_connection_queries: Annotated[int, Field(ge=1)] = 4
    """Those of them that come over one WebSocket."""
    max_waiting_queries: Annotated[int, Field(ge=1)] = 200
    """Queries of one principal that wait, for `query_timeout_s` at most; more are refused."""
    send_timeout_s: Annotated[float, Field(gt=0)] = 20.0
    """Seconds that one message may wait for its client to read; then the client is disconnected."""
    response_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds for a client to read a response, once it is more than the network takes at once."""
    query_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    """Seconds for one query of the database."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 65_536
    """Size of a request's body and of a WebSocket's message: four times the longest document."""
    ring_events: Annotated[int, Field(ge=1)] = 2_000
    """Newest events in memory for all subscribers together: some 10 MB."""
    ring_age_s: Annotated[float, Field(gt=0)] = 600.0
    """Seconds after which an event leaves memory; what an erasure or retention changes leaves it within two seconds,
    and within five while Postgres cannot be read."""
    max_lag_events: Annotated[int, Field(ge=1)] = 50_000
    """Events that a connected subscriber may lag; then it is disconnected, and may resume."""
    database_connections: Annotated[int, Field(ge=2)] = 10
    """For queries; live events have two more, and replays four."""
    max_depth: Annotated[int, Field(ge=1)] = 12
    """Levels of fields in a document."""
    max_cost: Annotated[int, Field(ge=1)] = 20_000
    """Fields in a response times page sizes; see `vigil_gateway.handlers.graphql.limits`."""
    max_aliases: Annotated[int, Field(ge=0)] = 20
    """Aliases in a document."""
    max_tokens: Annotated[int, Field(ge=1)] = 1_000
    """Tokens in a document."""
    shutdown_s: Annotated[float, Field(gt=0)] = 5.0
    """Seconds for requests to finish when the process stops."""
    cors_origins: list[str] = []
    """Origins of web pages that may call this API, as a JSON list; none when empty. `["*"]`: every page."""
