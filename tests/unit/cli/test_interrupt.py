"""Ctrl-C ends every command without a traceback, from its first moment on."""

import signal
import subprocess
import sys

import pytest


@pytest.mark.parametrize("seen", ["click.core", "rich.console", "vigil_cli.app"])
def test_ctrl_c_while_a_command_is_still_loading_is_quiet(seen: str) -> None:
    # It prints its imports, so that the signal comes in the middle of that.
    arguments = [sys.executable, "-X", "importtime", "-m", "vigil_cli", "watch", "--url", "http://127.0.0.1:9"]
    with subprocess.Popen([*arguments, "--token", "x"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        output = ""
        for line in process.stderr:
            if line.rstrip().endswith(seen):
                process.send_signal(signal.SIGINT)
                output = process.stderr.read()
                break
        code = process.wait(30)

    own = [line for line in output.splitlines() if not line.startswith("import time:")]
    assert (code, own) == (130, [])
