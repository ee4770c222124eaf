"""The build of a program is a metric."""

import platform
from importlib import metadata

from prometheus_client import CollectorRegistry, Counter, generate_latest

from vigil_runtime.build_info import program_registry, register_build_info


def test_a_program_exports_its_version_and_python() -> None:
    registry = CollectorRegistry()
    register_build_info(registry, "identity", "vigil-gateway")
    labels = {
        "program": "identity",
        "version": metadata.version("vigil-gateway"),
        "python": platform.python_version(),
    }
    assert registry.get_sample_value("vigil_build_info", labels) == 1.0


def test_a_program_registry_holds_build_and_process_only() -> None:
    registry = program_registry("stream")
    Counter("vigil_stream_frames", "Frames.", registry=registry).inc()
    text = generate_latest(registry).decode()
    assert 'program="stream"' in text
    assert "process_resident_memory_bytes" in text
    assert "vigil_stream_frames_total 1.0" in text
    assert "_created" not in text
