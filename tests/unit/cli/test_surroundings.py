"""What lies around on a user's machine is neither run nor added to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vigil_cli.standalone.programs import PYTHON


@pytest.mark.parametrize("module", ["vigil_gateway", "vigil_stream"])
def test_a_file_that_is_called_like_a_module_is_not_run(module: str, tmp_path: Path) -> None:
    for name in ("asyncpg", "typing", "numpy", "logging"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user was run')")
    done = subprocess.run([*PYTHON, "-m", module, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "a file of the user" in done.stderr) == (0, False)


def test_onnx_runtime_keeps_no_telemetry_in_the_users_folders(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    code = "import vigil_models, onnxruntime as o; o.InferenceSession; o.get_available_providers()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    assert list(tmp_path.rglob("*")) == []
