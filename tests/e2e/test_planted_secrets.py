"""Passwords and tokens in the addresses of cameras and photos are found in nothing that the system shows or keeps."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import nats
import psutil
import pytest
from tests.e2e.system import API, System, camera
from tests.integration.stream.cameras import Camera, Mjpeg, WebSocketCamera, for_ever
from tests.integration.stream.clips import jpegs
from tests.support.bus_roles import administrator
from tests.support.servers import environment
from tests.support.waiting import eventually
from tests.unit.cli.photo_server import photo_server

from vigil_cli.standalone.servers.ports import Ports
from vigil_cli.standalone.servers.postgres import url as postgres_url
from vigil_cli.standalone.state import StateFolder
from vigil_runtime.bus_address import BusCredentials
from vigil_runtime.bus_credentials import connect_options

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

MARK = "PLANTED"
"""In each of the secrets, quoted or not."""

STATE = """{ cameras(first: 20) { nodes { name url heartbeat { state message inferenceTrouble }
             conditions { reason message } } }
             subjects(first: 20) { nodes { name photos { name reason message } } } }"""
OWN_FILES = ("cameras/*/camera.json", "cameras/*/credentials/*")
"""What a stream process reads; for the owner's eyes only."""


class Redirecting(Camera):
    """Sends everyone to an address with a token in it, where nobody listens."""

    def serve(self, connection: Any) -> None:
        connection.recv(4096)
        connection.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/x?token=PLANTED-10\r\nContent-Length: 0\r\n\r\n"
        )


def secret(name: str, **values: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def with_secret(document: dict[str, Any], name: str) -> dict[str, Any]:
    document["spec"]["source"]["credentialsSecretRef"] = {"name": name}
    return document


def manifests(mjpeg: Mjpeg, socket: WebSocketCamera, redirecting: Camera, photo: str) -> list[dict[str, Any]]:
    """Cameras that stream and cameras that fail in each way, and a photo that is refused."""
    closed, query = "127.0.0.1:9", "user=PLANTED-01&password=PLANTED-02"
    away = f"http://127.0.0.1:{mjpeg.port}/away?{query}"
    return [
        camera("placed", "HTTPMJPEG", mjpeg.url + "?u={username}&p={password}"),
        camera("literal", "WebSocket", f"{socket.url}?token=PLANTED-03"),
        camera("missing", "HTTPMJPEG", away),
        camera("no-video", "HTTPMJPEG", f"https://127.0.0.1:{mjpeg.port}/video;id=PLANTED-04"),
        camera("redirected", "HTTPMJPEG", f"http://127.0.0.1:{redirecting.port}/?{query}"),
        camera(
            "rtsp",
            "RTSP",
            f"RTSP://{closed}/user=PLANTED-05_password=PLANTED-06_channel=1.sdp?{query}".replace("RTSP", "rtsp"),
        ),
        camera("rtsp-login", "RTSP", f"rtsp://{closed}/{{key}}/1?{query}"),
        camera("socket", "Socket", f"tcp://{closed}/?{query}"),
        camera("ws", "WebSocket", f"ws://{closed}/#{query}"),
        camera("name", "HTTPMJPEG", f"http://no.such.host.invalid/?{query}"),
        {
            "apiVersion": API,
            "kind": "Subject",
            "metadata": {"name": "joe"},
            "spec": {
                "displayName": "Joe",
                "consent": {"status": "Granted"},
                "photos": [
                    {"name": name, "url": f"{photo}{name}?X-Amz-Signature=PLANTED-07&x=1", "sha256": sha}
                    for name, sha in (("away", "0" * 64), ("there", "1" * 64))
                ],
            },
        },
        secret("login", username="us&er=PLANTED-08", password="p/PLANTED-09 ?#@"),
        secret("key", key="PLANTED-11/x", username="PLANTED-12", password="PLANTED-13"),
    ]


async def bus_messages(vigil: System, into: list[bytes]) -> None:
    """Keep all that is published, until cancelled."""
    port = Ports(vigil.state / "ports.json").known["nats"]
    file = vigil.state / "administrator.creds"
    file.write_text(administrator(StateFolder(vigil.state).bus_authority()))
    options: dict[str, Any] = connect_options(BusCredentials(file=file))
    client = await nats.connect(f"nats://127.0.0.1:{port}", **options)

    async def keep(message: Any) -> None:
        into.append(message.subject.encode() + b" " + message.data)

    try:
        await client.subscribe(">", cb=keep)
        await asyncio.Event().wait()
    finally:
        await client.close()


async def database(vigil: System) -> str:
    """Return every row of every table as text."""
    port = Ports(vigil.state / "ports.json").known["postgres"]
    connection = await asyncpg.connect(postgres_url(port, vigil.database_password))
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = [await connection.fetch(f'SELECT t::text FROM "{name}" t') for (name,) in tables]  # noqa: S608 - its own tables
        return "\n".join(str(row[0]) for table in rows for row in table)
    finally:
        await connection.close()


def metrics(vigil: System) -> str:
    """Return what each port of a program answers for its metrics and probes."""
    found = []
    for process in vigil.children():
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    for path in ("/metrics", "/readyz", "/healthz"):
                        with contextlib.suppress(httpx.HTTPError):
                            answer = httpx.get(f"http://127.0.0.1:{connection.laddr.port}{path}", timeout=2)
                            found.append(answer.text)
    return "\n".join(found)


def processes(vigil: System) -> str:
    found = []
    for process in vigil.children():
        with contextlib.suppress(psutil.Error):
            found.append(f"{process.cmdline()} {process.environ()}")
    return "\n".join(found)


def printed(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "vigil_cli", *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def files(vigil: System) -> Iterator[str]:
    """Name the files of the state folder that hold a secret, beside those that must."""
    own = {file for pattern in OWN_FILES for file in vigil.state.glob(pattern)}
    for file in vigil.state.rglob("*"):
        with contextlib.suppress(OSError):
            if file.is_file() and file not in own and MARK.encode() in file.read_bytes():
                yield str(file.relative_to(vigil.state))


async def test_planted_secrets_are_found_nowhere(
    system: Callable[..., System], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = jpegs(320, 192, 8)
    vigil, heard = system(), list[bytes]()
    async with photo_server(tmp_path / "pki", monkeypatch) as photos:
        photos.there["there"] = b"no photo"
        address = photos.reference("", b"").split("'")[1]
        with (
            Mjpeg(for_ever(frames)) as mjpeg,
            WebSocketCamera(for_ever(frames)) as socket,
            Redirecting() as redirecting,
        ):
            documents = manifests(mjpeg, socket, redirecting, address)
            with_secret(documents[0], "login")
            with_secret(documents[6], "key")
            vigil.write("all.yaml", *documents)
            await asyncio.to_thread(vigil.start, "--photo-networks", "127.0.0.0/8")
            listening = asyncio.create_task(bus_messages(vigil, heard))
            await eventually(lambda: vigil.streaming() == {"placed", "literal"}, 90, "those that can stream, stream")
            await eventually(lambda: _all_failed(vigil), 90, "the others report why they do not, and the photos too")
            placed = next(head for head in mjpeg.requests if "?u=" in head)
            assert "?u=us%26er%3DPLANTED-08&p=p%2FPLANTED-09%20%3F%23%40 " in placed
            shown = {
                "GraphQL": json.dumps(vigil.query(STATE)),
                "Postgres": await database(vigil),
                "metrics": await asyncio.to_thread(metrics, vigil),
                "processes": processes(vigil),
                "status": printed("status", "--state", str(vigil.state)),
                "status in JSON": printed("status", "--state", str(vigil.state), "--output", "json"),
                "logs": printed("logs", "--state", str(vigil.state)),
            }
            listening.cancel()
            assert await asyncio.to_thread(vigil.stop) == 0
    assert heard
    shown |= {"bus": b"\n".join(heard).decode(), "output": vigil.output(), "files": " ".join(files(vigil))}
    assert {what: _around(text) for what, text in shown.items() if MARK in text or (what == "files" and text)} == {}
    for what in ("GraphQL", "Postgres", "status", "status in JSON", "bus"):
        assert "127.0.0.1" in shown[what], f"{what} is what was looked for"


def _all_failed(vigil: System) -> bool:
    nodes = vigil.query(STATE)
    messages = [node["heartbeat"]["message"] for node in nodes["cameras"]["nodes"] if node["heartbeat"]]
    subjects = nodes["subjects"]["nodes"]
    return sum(bool(message) for message in messages) >= 8 and bool(subjects and subjects[0]["photos"])


def _around(text: str) -> str:
    at = text.find(MARK)
    return text[max(at - 200, 0) : at + 60]
