"""The program `vigil-gateway api`."""

import resource
from functools import partial
from typing import Final

import structlog
import uvicorn

from vigil_gateway.api import factory
from vigil_gateway.api.app import create_app
from vigil_gateway.api.limits import ApiLimits
from vigil_gateway.api.websocket import GOING_AWAY_REASON, GatewayWebSocket
from vigil_gateway.program import Program, http_config
from vigil_gateway.settings import ApiSettings
from vigil_gateway.storage.errors import DatabaseError

log = structlog.get_logger(__name__)

PING_S: Final = 20.0
"""Seconds between pings, and for the pongs: a client that vanished is noticed within 40 s."""

TASKS_END_S: Final = 5.0


class ApiProgram(Program):
    """One API process; `start` also raises SchemaError (the database is older or newer than this program)."""

    def __init__(self, settings: ApiSettings, limits: ApiLimits) -> None:
        super().__init__(settings)
        self.parts = factory.build(settings, limits)
        self._token = settings.token.get_secret_value()
        self._metrics_token = settings.metrics_token.get_secret_value() if settings.metrics_token else None

    def http(self) -> uvicorn.Config:
        """Return GraphQL, its page, probes and metrics."""
        limits = self.parts.limits
        return http_config(
            create_app(self.parts, self._token, self._metrics_token),
            limits.shutdown_s,
            self.parts.lobby,
            ws=partial(GatewayWebSocket, self.parts.lobby),
            ws_max_size=limits.max_body_bytes,
            ws_per_message_deflate=False,  # 300 KiB and a millisecond per client, to save 1 KB per event
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
        )

    async def start(self) -> None:
        """Start the event feed, the bus listener and the list of registered cameras."""
        raise_file_limit()
        parts = self.parts
        for database in parts.databases:
            await database.open()
        try:
            await parts.databases[0].check_schema()
        except DatabaseError as error:
            log.warning("schema not checked", reason=str(error))
        self.tasks.start("feed", parts.services.hub.feed.run)
        self.tasks.start("bus", parts.bus.run)
        self.tasks.start("cameras", lambda: parts.services.cameras.follow(parts.services.registered_cameras.keys))

    async def close(self) -> None:
        """End the subscriptions that are left, and release everything."""
        self.parts.services.hub.close(GOING_AWAY_REASON)
        await self.tasks.stop(TASKS_END_S)
        for database in self.parts.databases:
            await database.close()


def raise_file_limit() -> None:
    """Raise the limit of open sockets as far as the system allows: 5,000 subscribers need more than the usual 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
