"""Probes, logs and settings of the process."""

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from vigil_runtime.health import HealthServer, probe
from vigil_runtime.logs import JsonFormatter
from vigil_runtime.settings import SettingsError
from vigil_stream.settings import load_camera, load_settings

YAML = """
apiVersion: vigil.dev/v1alpha1
kind: Camera
metadata: {name: door}
spec:
  source: {type: RTSP, url: "rtsp://10.0.0.5/stream1"}
"""


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    response = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return response


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /healthz HTTP/1.1", b"200"),
        (b"GET /healthz?verbose=1 HTTP/1.1", b"200"),
        (b"GET /readyz HTTP/1.1", b"503"),
        (b"GET /secrets HTTP/1.1", b"404"),
        (b"POST /healthz HTTP/1.1", b"405"),
        (b"nonsense", b"400"),
    ],
)
async def test_probes_answer(request_line: bytes, status: bytes) -> None:
    server = HealthServer(
        {"/healthz": lambda: probe({"threads": ""}), "/readyz": lambda: probe({"bus": "away", "inference": ""})}
    )
    port = await server.start("127.0.0.1", 0)
    try:
        response = await ask(port, request_line + b"\r\n\r\n")
        assert response.split(b" ")[1] == status
        if status == b"503":
            body = json.loads(response.split(b"\r\n\r\n")[1])
            assert body == {"ok": False, "bus": "away", "inference": "ok"}
    finally:
        await server.close()


async def test_an_endless_request_is_cut_off() -> None:
    server = HealthServer({})
    port = await server.start("127.0.0.1", 0)
    try:
        with contextlib.suppress(ConnectionError):
            assert await ask(port, b"GET /" + b"x" * 100_000) == b""
    finally:
        await server.close()


def test_a_log_line_is_one_json_object() -> None:
    record = logging.LogRecord("vigil_stream", logging.WARNING, "f", 1, "lost %s\nagain", ("x",), None)
    line = JsonFormatter("stream", {"camera": "default/door"}).format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert found["event"] == "lost x\nagain"
    assert found["camera"] == "default/door"
    assert found["level"] == "warning"


def test_a_camera_is_read_from_yaml_and_json(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(YAML)
    camera = load_camera(tmp_path / "c.yaml")
    (tmp_path / "c.json").write_text(camera.model_dump_json(by_alias=True, exclude_none=True))
    assert load_camera(tmp_path / "c.json") == camera


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("a: [", "not YAML"),
        ("[" * 100_000, "not YAML"),
        ("a: 2024-13-45", "not YAML"),
        ("- 1", "does not hold a Camera"),
        (YAML.replace("RTSP,", "RTPS,"), "spec.source.type"),
        ("apiVersion: vigil.dev/v1alpha1\nkind: Site\nmetadata: {name: x}\n", "holds a Site"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_camera_file_is_reported_in_a_sentence(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "camera"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_camera(path)


def test_settings_name_each_wrong_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_HTTP_PORT", "70000")
    monkeypatch.setenv("VIGIL_SHARED_MEMORY", "perhaps")
    monkeypatch.delenv("VIGIL_STATE_DIR", raising=False)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    for name in ("VIGIL_HTTP_PORT", "VIGIL_SHARED_MEMORY", "VIGIL_STATE_DIR"):
        assert name in str(caught.value)


def test_heavy_packages_are_never_loaded() -> None:
    heavy = [
        "cv2",
        "fastapi",
        "starlette",
        "onnxruntime",
        "onnx",
        "PIL",
        "rich",
        "typer",
        "yaml",
        "websockets.sync.client",
    ]
    code = f"import sys, vigil_stream.__main__; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


def test_optional_imports_of_nats_are_not_loaded() -> None:
    """A package that another program brought into the environment costs a camera no memory."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import vigil_stream.__main__, sys; print([n for n, m in sys.modules.items() if m])"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert "'nats.aio.transport'" in loaded
    assert "'aiohttp'" not in loaded
