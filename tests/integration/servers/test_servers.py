"""The real servers keep what was accepted when they are killed, and are found where they were."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import nats
import psutil
import pytest
from tests.support.servers import (
    OPEN_PACK,
    PASSWORD,
    TOKEN,
    NatsServer,
    PostgresServer,
    RtspServer,
    TritonServer,
    ffmpeg,
    model_repository,
    start_postgres,
)
from tests.support.shared import ROOT, shared
from tests.support.waiting import eventually, wait_until

from vigil_cli.standalone.servers.go2rtc import Login
from vigil_cli.standalone.servers.nats import nats as nats_server
from vigil_cli.standalone.servers.nats import token_for_all
from vigil_cli.standalone.servers.ports import Ports, free_port
from vigil_cli.standalone.servers.postgres import postgres, url
from vigil_cli.standalone.servers.triton import TritonPorts, triton
from vigil_cli.supervisor import StartError, Supervisor, orphans
from vigil_cli.supervisor.launch import NOBODY

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


async def test_a_folder_of_a_killed_initdb_is_made_again(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "data.partial"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    server = start_postgres(tmp_path / "postgres")
    connection = await asyncpg.connect(server.admin_url)
    await connection.close()
    server.running.kill()


def test_a_second_postgres_on_the_same_folder_is_refused(own_postgres: PostgresServer, tmp_path: Path) -> None:
    second = postgres(tmp_path / "postgres", free_port(), PASSWORD)
    with pytest.raises(
        StartError, match=rf"process {own_postgres.running.pid}\) is already running on .*postgres/data"
    ):
        second.before_start()
    assert own_postgres.running.spec.ready()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run Postgres as another user")
async def test_postgres_of_root_runs_as_nobody_without_user_namespaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "private" / "postgres"
    folder.parent.mkdir(mode=0o700)
    start_postgres(folder).running.stop()  # made as root in a namespace, then handed over
    for module in ("supervisor.command", "standalone.servers.postgres"):
        monkeypatch.setattr(f"vigil_cli.{module}.unprivileged_mode", lambda: "nobody")
    server = start_postgres(folder)
    assert psutil.Process(server.running.pid).uids().effective == NOBODY
    connection = await asyncpg.connect(server.admin_url)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    server.running.kill()


async def test_killed_servers_come_back_with_address_and_data(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        ports = Ports(tmp_path / "ports.json")
        bus, database = ports.get("nats"), ports.get("postgres")
        supervisor.add(nats_server(tmp_path / "nats", bus, token_for_all(TOKEN)))
        supervisor.add(postgres(tmp_path / "postgres", database, PASSWORD))
        await supervisor.wait_ready(["nats", "postgres"], 60)
        client = await nats.connect(f"nats://127.0.0.1:{bus}", token=TOKEN, max_reconnect_attempts=-1)
        await client.jetstream().add_stream(name="T", subjects=["t.>"])
        rows = await asyncpg.connect(url(database, PASSWORD))
        await rows.execute("CREATE TABLE t (a int)")
        for number in range(3):
            await client.jetstream().publish("t.a", str(number).encode())
            await rows.execute("INSERT INTO t VALUES ($1)", number)
            rows.terminate()
            await kill_and_wait(supervisor, "nats", "postgres")
            await eventually(lambda: client.is_connected, 20, "the client is connected again")
            rows = await asyncpg.connect(url(database, PASSWORD))
        assert (await client.jetstream().stream_info("T")).state.messages == 3
        assert await rows.fetchval("SELECT array_agg(a ORDER BY a) FROM t") == [0, 1, 2]
        await rows.close()
        await client.close()


async def kill_and_wait(supervisor: Supervisor, *names: str) -> None:
    """Kill -9 each of these processes, and wait until each is there again."""
    for name in names:
        status = supervisor.statuses[name]
        starts, pid = status.starts, status.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: supervisor.statuses[name].starts > starts, 20, f"{name} is started again")  # noqa: B023
    await supervisor.wait_ready(names, 60)


def test_a_killed_triton_comes_back_without_old_shared_memory(own_triton: Callable[..., TritonServer]) -> None:
    server = own_triton()
    port = server.address.rpartition(":")[2]
    server.running.restart()
    assert server.running.spec.ready()
    server.running.stop()
    server.running.spec.before_start()
    assert list(Path("/dev/shm").glob(f"vigil_triton_{port}_*")) == []  # noqa: S108 - POSIX shared memory


HOSTILE = ("-my 'disk'; touch INJECTED;#", 'é"$(touch INJECTED)`touch INJECTED`\\ %s {x}')
"""Names of folders that a shell, a configuration file or a format string would take for something else."""


async def test_state_folder_with_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers run in folders of any name, with models in another, and no shell reads the names."""
    monkeypatch.chdir(tmp_path)
    state, cache = Path(HOSTILE[0]) / HOSTILE[1], tmp_path / HOSTILE[1] / HOSTILE[0]
    shutil.copytree(model_repository(OPEN_PACK), cache)
    state.mkdir(parents=True)
    ports = Ports(state / "ports.json")
    triton_ports = TritonPorts(*(ports.get(f"triton-{name}") for name in ("grpc", "http", "metrics")))
    bus, database = ports.get("nats"), ports.get("postgres")
    async with Supervisor(state) as supervisor:
        supervisor.add(nats_server(state / "nats", bus, token_for_all(TOKEN)))
        supervisor.add(postgres(state / "postgres", database, PASSWORD))
        supervisor.add(triton(state / "triton", cache, triton_ports))
        await supervisor.wait_ready(["nats", "postgres", "triton"], 120)
        client = await nats.connect(f"nats://127.0.0.1:{bus}", token=TOKEN)
        await client.jetstream().add_stream(name="T", subjects=["t.>"])
        await client.close()
        await kill_and_wait(supervisor, "nats", "postgres", "triton")
    assert (state / "nats" / "jetstream").is_dir()
    assert (state / "postgres" / "data" / "PG_VERSION").exists()
    assert [found for found, _, names in os.walk(tmp_path) if "INJECTED" in names] == []


def test_triton_without_models_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="holds no exported models; make them with: vigil-models export"):
        triton(tmp_path / "t", tmp_path, TritonPorts(1, 2, 3))


def test_a_wanted_port_that_is_taken_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=f"Port {port} for api is taken by "):
            Ports(tmp_path / "ports.json").get("api", wanted=port)


def test_a_port_is_the_same_after_a_restart_unless_taken(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json").get("nats")
    assert Ports(tmp_path / "ports.json").get("nats") == first
    with socket.socket() as other:
        other.bind(("127.0.0.1", first))
        other.listen()
        assert Ports(tmp_path / "ports.json").get("nats") != first


def frames(url: str, count: int) -> int:
    """Read so many frames with ffmpeg, and count them."""
    arguments = ["-hide_banner", "-rtsp_transport", "tcp", "-i", url, "-frames:v", str(count), "-f", "framehash", "-"]
    done = subprocess.run([str(ffmpeg()), *arguments], capture_output=True, text=True, timeout=60, check=False)
    return sum(not line.startswith("#") for line in done.stdout.splitlines())


def test_rtsp_serves_a_video_again_and_again(rtsp: Callable[..., RtspServer]) -> None:
    server = rtsp({"clip": shared("video/short_hamilton_clip.mp4")})
    assert frames(server.url("clip"), 300) == 300  # the clip has 275


def test_a_stopped_rtsp_server_comes_back_at_the_same_address(rtsp: Callable[..., RtspServer]) -> None:
    server = rtsp({"clip": shared("video/short_hamilton_clip.mp4")})
    server.running.stop()
    assert frames(server.url("clip"), 5) == 0
    server.running.start()
    assert frames(server.url("clip"), 5) == 5


def test_an_rtsp_server_with_a_login_refuses_a_wrong_password(rtsp: Callable[..., RtspServer]) -> None:
    server = rtsp({"clip": shared("video/short_hamilton_clip.mp4")}, login=Login("camera", "right"))
    address = server.url("clip").removeprefix("rtsp://")
    assert frames(f"rtsp://camera:right@{address}", 5) == 5
    assert frames(f"rtsp://camera:wrong@{address}", 5) == 0
    assert frames(server.url("clip"), 5) == 0


TEST_RUN = """
import sys
from tests.support.running import run_folder
from tests.support.servers import start_nats, start_postgres
folder = run_folder()
servers = [start_nats(folder / "nats"), start_postgres(folder / "postgres")]
print(*(server.running.pid for server in servers), flush=True)
sys.stdin.read()
"""


def test_a_killed_test_run_leaves_no_server() -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", TEST_RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert run.stdout is not None
    pids = [int(pid) for pid in run.stdout.readline().split()]
    assert len(pids) == 2
    children = [child.pid for pid in pids for child in psutil.Process(pid).children()]
    run.kill()
    run.communicate(timeout=10)
    wait_until(lambda: not any(orphans.find_process(pid) for pid in [*pids, *children]), 20, "all have ended")
