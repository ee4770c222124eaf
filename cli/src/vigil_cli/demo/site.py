"""One run of the demo: manifests as a user writes them, and servers in place of cameras."""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from vigil_cli.demo.cutout import enrolment_photo
from vigil_cli.demo.film import Kind, Wanted
from vigil_cli.demo.people import ENROLLED, Crop, Person
from vigil_cli.errors import CommandError
from vigil_cli.standalone.programs import PYTHON
from vigil_cli.standalone.servers.go2rtc import go2rtc, publisher
from vigil_cli.standalone.servers.ports import LOOPBACK, Ports, listens
from vigil_cli.supervisor import ProcessSpec
from vigil_contracts.resources import API_VERSION, SourceType

SITE = "demo"
VIDEO = "demo-video"
START_TIMEOUT_S = 60
"""On a busy machine the imports alone take seconds."""


@dataclass(frozen=True, slots=True)
class DemoSite:
    """Manifests, and servers in place of cameras.

    Attributes
    ----------
    folder
        The folder of the manifests.
    processes
        Video servers, in the order of their start.
    """

    folder: Path
    processes: tuple[ProcessSpec, ...]


def wanted_films(*, rtsp: bool) -> dict[str, Wanted]:
    """Return the film that each camera needs."""
    return {
        "lobby": ("lobby", Kind.H264),
        "entrance": ("entrance", Kind.JPEG),
        "corridor": ("corridor", Kind.H264 if rtsp else Kind.JPEG),
    }


def build_site(root: Path, films: Mapping[str, Path], photos: dict[str, Path], *, rtsp: bool) -> DemoSite:
    """Write the manifests; return them with the specs of the servers.

    Parameters
    ----------
    root
        The state folder.
    films
        File by camera.
    photos
        Paths by name.
    rtsp
        Whether the third camera is an RTSP stream; else it is a TCP socket.

    Raises
    ------
    CommandError
        The state folder cannot be written.
    StartError
        A port cannot be used.
    """
    ports = Ports(root / "ports.json")
    http, third = ports.get(VIDEO), ports.get("demo-rtsp" if rtsp else "demo-socket")
    sources = {
        "lobby": (SourceType.FILE, f"file:{films['lobby']}"),
        "entrance": (SourceType.HTTP_MJPEG, f"http://{LOOPBACK}:{http}/entrance"),
        "corridor": (SourceType.RTSP, f"rtsp://{LOOPBACK}:{third}/corridor")
        if rtsp
        else (SourceType.SOCKET, f"tcp://{LOOPBACK}:{third}"),
    }
    folder = root / "manifests"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "site.yaml", _resource("Site", SITE, {"displayName": "Vigil's demo"}))
        _write(folder / "cameras.yaml", *(_camera(name, *source) for name, source in sources.items()))
        _write(folder / "subjects.yaml", *(_subject(person, photos, folder) for person in ENROLLED))
    except OSError as error:
        msg = f"The demo's manifests cannot be written to {folder} ({error.strerror}); correct its permissions."
        raise CommandError(msg) from None
    sockets = {} if rtsp else {third: films["corridor"]}
    processes = [video_server(http, films["entrance"], sockets)]
    if rtsp:
        processes.append(_rtsp_server(root, third, films["corridor"]))
    return DemoSite(folder, tuple(processes))


def _resource(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}


def _camera(name: str, kind: SourceType, url: str) -> dict[str, Any]:
    loop = {"loop": True} if kind is SourceType.FILE else {}
    return _resource("Camera", name, {"siteRef": {"name": SITE}, "source": {"type": str(kind), "url": url, **loop}})


def _subject(person: Person, photos: dict[str, Path], folder: Path) -> dict[str, Any]:
    data = enrolment_photo(person, photos)
    file = folder / f"{person.key}.jpg"
    file.write_bytes(data)
    name = "cropped" if isinstance(person.enrolled_from, Crop) else "portrait"
    photo = {"name": name, "url": f"file:{file.name}", "sha256": hashlib.sha256(data).hexdigest()}
    return _resource(
        "Subject",
        person.key,
        {
            "displayName": person.name,
            "category": "Visitor",
            "consent": {"status": "Granted", "documentVersion": "public figure, freely licensed photo, demo only"},
            "photos": [photo],
        },
    )


def _write(path: Path, *documents: dict[str, Any]) -> None:
    text = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)
    path.write_text(f"# Written by every `vigil demo`.\n---\n{text}", encoding="utf-8")


def video_server(http: int, entrance: Path, sockets: Mapping[int, Path]) -> ProcessSpec:
    """Return the spec of the server of films.

    Parameters
    ----------
    http
        Port of HTTP; `/entrance` is the film of that name.
    sockets
        Film by port.
    """
    arguments = ["--http", str(http), "--film", f"entrance={entrance}"]
    for port, film in sockets.items():
        arguments += ["--socket", f"{port}={film}"]
    return ProcessSpec(
        VIDEO,
        [*PYTHON, "-m", "vigil_cli.demo.server", *arguments],
        ready=lambda: listens(http),
        ready_timeout_s=START_TIMEOUT_S,
    )


def _rtsp_server(root: Path, port: int, film: Path) -> ProcessSpec:
    try:
        source = publisher(Path(sys.executable), "-P", "-m", "vigil_cli.demo.publish", film)
    except ValueError as error:
        raise CommandError(f"{error}; set VIGIL_CACHE_DIR to another folder.") from None
    return replace(go2rtc(root / "go2rtc", port, {"corridor": source}), name="demo-rtsp")
