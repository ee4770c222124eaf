"""/healthz, /readyz and /metrics."""

import json
from collections.abc import Callable

from aiohttp import web

from vigil_operator.metrics import Metrics

Probe = Callable[[], dict[str, str]]
"""Gives what is wrong with each part; empty when it is well."""


class ListenError(Exception):
    """The address for probes and metrics cannot be had; the message names it."""


class HealthServer:
    """Serves probes and metrics.

    Parameters
    ----------
    alive, ready
        What the probes ask; a part that is well has an empty text.
    told
        What /readyz says beside that without being unready, such as who holds the Lease.
    """

    def __init__(self, metrics: Metrics, alive: Probe, ready: Probe, told: Probe) -> None:
        self._metrics = metrics
        self._alive = alive
        self._ready = ready
        self._told = told
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port, chosen by the system when 0. ListenError when it is taken."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._all_metrics),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            msg = f"cannot listen on {host}:{port}: {error.strerror or error}"
            raise ListenError(msg) from error
        chosen: int = self._runner.addresses[0][1]
        return chosen

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return _answer(self._alive(), {})

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(self._ready(), self._told())

    async def _all_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})


def _answer(parts: dict[str, str], told: dict[str, str]) -> web.Response:
    well = not any(parts.values())
    body = {"ok": well, **{name: text or "ok" for name, text in parts.items()}, **told}
    return web.Response(text=json.dumps(body), status=200 if well else 503, content_type="application/json")
