"""A web server of photos, over TLS, that can be away and come back at the same address."""

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from tests.support.kubernetes.certificates import Authority


class PhotoServer:
    """Answers with what is `there`, and else with 503."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.there: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.answering = asyncio.Event()
        self.answering.set()
        self._context = context
        self._port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{name}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._context).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Refuse connections from now on."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @contextlib.asynccontextmanager
    async def beside(self) -> AsyncIterator["PhotoServer"]:
        """Run another server, at an address of its own, that is trusted as this one is."""
        other = PhotoServer(self._context)
        await other.start()
        try:
            yield other
        finally:
            await other.stop()

    async def _handle(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.asked.append(name)
        await self.answering.wait()
        return web.Response(body=self.there[name]) if name in self.there else web.Response(status=503)

    def reference(self, name: str, data: bytes, path: str = "") -> str:
        """Return a photo as a line of a Subject's manifest."""
        sha256 = hashlib.sha256(data).hexdigest()
        return f"{{name: {name}, url: 'https://localhost:{self._port}/{path or name}', sha256: '{sha256}'}}"


@contextlib.asynccontextmanager
async def photo_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PhotoServer]:
    """Run a server whose certificate is trusted as long as the test lasts."""
    authority = Authority(folder, ["DNS:localhost"])
    authority.certify("server", "photos")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.folder / "server.crt", authority.folder / "server.key")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    server = PhotoServer(context)
    await server.start()
    try:
        yield server
    finally:
        server.answering.set()
        await server.stop()
