"""The build of a program is a metric."""

import platform
from importlib import metadata

from prometheus_client import CollectorRegistry

from vigil_runtime.build_info import register_build_info


def test_a_program_exports_its_version_and_python() -> None:
    registry = CollectorRegistry()
    register_build_info(registry, "identity", "vigil-gateway")
    labels = {
        "program": "identity",
        "version": metadata.version("vigil-gateway"),
        "python": platform.python_version(),
    }
    assert registry.get_sample_value("vigil_build_info", labels) == 1.0
