"""Run the API until it is told to stop."""

import asyncio
from typing import Protocol

import structlog
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from vigil_gateway.api.app import create_app
from vigil_gateway.api.factory import Endpoints, process
from vigil_gateway.api.limits import ApiLimits
from vigil_gateway.api.server import GatewayServer, GatewayWebSocket, ListenError, listen, raise_file_limit

log = structlog.get_logger(__name__)

PING_S = 20.0
"""Seconds between pings, and for their answer: a client that vanished is noticed within 40 s."""


class TokenError(Exception):
    """There is no token for clients."""


class ApiSettings(Protocol):
    """What the program needs of the process's settings; `vigil_gateway.settings` has it."""

    @property
    def site(self) -> str:
        """Name of the site."""

    @property
    def nats_url(self) -> str:
        """Address of the bus."""

    @property
    def nats_token(self) -> SecretStr | None:
        """Token for the bus."""

    @property
    def database_url(self) -> SecretStr | str:
        """Address of Postgres, with user and password where they are needed."""

    @property
    def http_host(self) -> str:
        """Address to listen on."""

    @property
    def http_port(self) -> int:
        """Port to listen on; 0: any."""

    @property
    def token(self) -> SecretStr:
        """Bearer token of the clients."""


def run(settings: ApiSettings) -> None:
    """Serve the API until SIGTERM or SIGINT; a missing token or a taken port ends it with one sentence."""
    raise_file_limit()
    try:
        asyncio.run(serve(settings, ApiLimits()))
    except (ListenError, TokenError) as error:
        raise SystemExit(str(error)) from None


async def serve(settings: ApiSettings, limits: ApiLimits) -> None:
    """Serve the API in this event loop."""
    endpoints = Endpoints(
        site=settings.site,
        nats_url=settings.nats_url,
        nats_token=_plain(settings.nats_token),
        database_url=_plain(settings.database_url) or "",
        token=_plain(settings.token) or "",
    )
    if not endpoints.token:
        msg = "the API has no token; set VIGIL_TOKEN to a long random text"
        raise TokenError(msg)
    opened = listen(settings.http_host, settings.http_port)
    host, port = opened.getsockname()[:2]
    with opened:
        async with process(endpoints, limits) as parts:
            log.info("listening", host=host, port=port, site=settings.site, page=f"http://{host}:{port}/graphql")
            await server(create_app(parts, endpoints.token), limits).serve(sockets=[opened])
    log.info("stopped")


def server(app: FastAPI, limits: ApiLimits) -> GatewayServer:
    """Make the server, as it is run in production and in tests."""
    config = uvicorn.Config(
        app,
        ws=GatewayWebSocket,
        ws_max_size=limits.max_body_bytes,
        ws_per_message_deflate=False,  # 300 KiB and a millisecond per client, to save 1 KB per event
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        timeout_graceful_shutdown=max(1, round(limits.shutdown_s)),
        log_config=None,
        log_level="warning",  # at info uvicorn writes two lines per connection
        access_log=False,
        server_header=False,
    )
    return GatewayServer(config)


def _plain(value: SecretStr | str | None) -> str | None:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
