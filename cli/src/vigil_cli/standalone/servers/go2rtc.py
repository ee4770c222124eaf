"""go2rtc, an RTSP server, built once from its Go module; the demo and the tests use it where it can be built."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from vigil_cli.standalone.servers.folders import as_start_error, prepare
from vigil_cli.standalone.servers.go_build import go_build
from vigil_cli.standalone.servers.ports import LOOPBACK, check_free, listens
from vigil_cli.supervisor.spec import ProcessSpec

MODULE = "github.com/AlexxIT/go2rtc"
VERSION = "v1.9.14"
BUILD_TIMEOUT_S = 900
NEED_BYTES = 64 << 20
ANYWHERE = "0.0.0.0"  # noqa: S104 - see `go2rtc`


def cache_folder() -> Path:
    """Return the folder outside the repository that holds built programs."""
    chosen = os.environ.get("VIGIL_CACHE_DIR")
    return Path(chosen) if chosen else platformdirs.user_cache_path("vigil")


def find() -> Path | None:
    """Return the path of go2rtc, on PATH or in the cache; None when it has to be built first."""
    found = shutil.which("go2rtc")
    cached = cache_folder() / "bin" / f"go2rtc-{VERSION}"
    return Path(found) if found else cached if cached.exists() else None


def build() -> Path:
    """Return the path of go2rtc; build it into the cache first where it is missing (20 s and a download).

    Raises
    ------
    StartError
        There is no Go, or the build failed.
    """
    found = find()
    if found is not None:
        return found
    target = cache_folder() / "bin" / f"go2rtc-{VERSION}"
    prepare(target.parent, "The build of go2rtc", NEED_BYTES)
    with as_start_error("go2rtc could not be built"), tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch) / "go2rtc"
        (Path(scratch) / "go.mod").write_text(f"module build\n\ngo 1.24\n\nrequire {MODULE} {VERSION}\n")
        go_build(f"go2rtc {VERSION}, the RTSP server,", MODULE, Path(scratch), built, BUILD_TIMEOUT_S)
        partial = target.with_suffix(f".{os.getpid()}")
        shutil.copy2(built, partial)
        partial.replace(target)  # whole or not at all, also with two builds at the same time
    return target


def ffmpeg_loop(ffmpeg: Path, video: Path) -> str:
    """Return a source that plays a file in a loop in real time, without encoding it again.

    Raises
    ------
    ValueError
        A path holds a character that go2rtc cannot read.
    """
    return (
        f"exec:{_quoted(ffmpeg)} -hide_banner -loglevel error -re -stream_loop -1 -i {_quoted(video)} -c:v copy -an "
        "-rtsp_transport tcp -f rtsp {output}"
    )


def publisher(program: Path, *arguments: str | Path) -> str:
    """Return a source that a program of ours publishes; its last argument is the address to publish to.

    Raises
    ------
    ValueError
        As `ffmpeg_loop`.
    """
    quoted = (_quoted(argument) if isinstance(argument, Path) else argument for argument in arguments)
    return " ".join((f"exec:{_quoted(program)}", *quoted, "{output}"))


def _quoted(path: Path) -> str:
    """Quote a path for go2rtc, which splits at spaces, cuts at `#` and knows no escapes."""
    text = str(path.absolute())
    if any(character in text for character in "\"'#{}\n"):
        msg = f"go2rtc cannot use {text}: quotes, braces and # are not possible in its paths; choose another folder"
        raise ValueError(msg)
    return f'"{text}"' if " " in text or "\t" in text else text


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials of clients."""

    username: str
    password: str


def go2rtc(folder: Path, port: int, streams: Mapping[str, str], login: Login | None = None) -> ProcessSpec:
    """Return the spec of an RTSP server on the loopback address, or with a login on all addresses.

    Parameters
    ----------
    folder
        For its configuration.
    streams
        Source by name; its address is `rtsp://127.0.0.1:<port>/<name>`.
    login
        Required from every client but those on the loopback address.

    Raises
    ------
    StartError
        As `build`; or the folder cannot be used.
    """
    program = build()
    folder = prepare(folder, "go2rtc")
    host = ANYWHERE if login else LOOPBACK
    secret = {"username": login.username, "password": login.password} if login else {}
    settings = {
        "api": {"listen": ""},
        "webrtc": {"listen": ""},
        "srtp": {"listen": ""},
        "rtsp": {"listen": f"{host}:{port}", "default_query": "video", **secret},
        "log": {"level": "info"},
        "streams": dict(streams),
    }
    config = folder / "go2rtc.yaml"
    with as_start_error(f"go2rtc cannot write its configuration {config}"):
        config.touch(mode=0o600)
        config.write_text(json.dumps(settings, indent=2))  # JSON is YAML
    return ProcessSpec(
        "go2rtc",
        [str(program), "-config", str(config)],
        ready=lambda: listens(port),
        before_start=lambda: check_free(port, "go2rtc", host),  # go2rtc would run without its port
    )
