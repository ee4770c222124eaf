"""The real servers keep what was accepted when they are killed, and are found where they were."""

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncpg
import nats
import pytest
from tests.support.servers import PASSWORD, NatsServer, PostgresServer, RtspServer, TritonServer, ffmpeg
from tests.support.shared import shared

from vigil_cli.standalone.servers.ports import Ports
from vigil_cli.standalone.servers.postgres import url
from vigil_cli.standalone.servers.triton import TritonPorts, triton
from vigil_cli.standalone.supervisor.spec import StartError

pytestmark = pytest.mark.integration


async def test_a_message_that_jetstream_confirmed_survives_kill_9(own_nats: NatsServer) -> None:
    connection = await nats.connect(own_nats.url, token=own_nats.token)
    stream = connection.jetstream()
    await stream.add_stream(name="T", subjects=["t.>"])
    await stream.publish("t.a", b"kept")
    await connection.close()
    own_nats.running.restart()
    connection = await nats.connect(own_nats.url, token=own_nats.token)
    assert (await connection.jetstream().get_msg("T", 1)).data == b"kept"
    await connection.close()


def test_nats_refuses_a_client_without_its_token(shared_nats: NatsServer) -> None:
    address = shared_nats.url.removeprefix("nats://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=5) as client:
        client.sendall(b"CONNECT {}\r\nPING\r\n")
        answer = b""
        while chunk := client.recv(4096):
            answer += chunk
    assert b"-ERR 'Authorization Violation'" in answer


async def test_a_committed_row_survives_kill_9(own_postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(own_postgres.admin_url)
    await connection.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (7)")
    connection.terminate()
    own_postgres.running.restart()
    connection = await asyncpg.connect(own_postgres.admin_url)
    assert await connection.fetchval("SELECT a FROM t") == 7
    await connection.close()


async def test_postgres_refuses_a_wrong_password(shared_postgres: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url(shared_postgres.port, f"not-{PASSWORD}"))


def test_triton_comes_back_after_kill_9_and_leaves_no_shared_memory(own_triton: Callable[..., TritonServer]) -> None:
    server = own_triton()
    port = server.address.rpartition(":")[2]
    server.running.restart()
    assert server.running.spec.ready()
    server.running.stop()
    server.running.spec.before_start()
    assert list(Path("/dev/shm").glob(f"vigil_triton_{port}_*")) == []  # noqa: S108 - POSIX shared memory


def test_triton_without_models_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="holds no exported models; make them with: vigil-models export"):
        triton(tmp_path / "t", tmp_path, TritonPorts(1, 2, 3))


def test_a_wanted_port_that_is_taken_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=f"Port {port} for api is taken by another program"):
            Ports(tmp_path / "ports.json").get("api", wanted=port)


def test_a_port_is_the_same_after_a_restart_unless_somebody_took_it(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json").get("nats")
    assert Ports(tmp_path / "ports.json").get("nats") == first
    with socket.socket() as other:
        other.bind(("127.0.0.1", first))
        other.listen()
        assert Ports(tmp_path / "ports.json").get("nats") != first


def test_rtsp_serves_a_video_again_and_again(rtsp: Callable[..., RtspServer]) -> None:
    server = rtsp({"clip": shared("video/short_hamilton_clip.mp4")})
    arguments = [
        "-hide_banner",
        "-rtsp_transport",
        "tcp",
        "-i",
        server.url("clip"),
        "-frames:v",
        "300",
        "-f",
        "framehash",
        "-",
    ]
    done = subprocess.run([str(ffmpeg()), *arguments], capture_output=True, text=True, timeout=60, check=True)
    assert sum(not line.startswith("#") for line in done.stdout.splitlines()) == 300  # the clip has 275
