"""`vigil-stream run --camera FILE`: one camera, until SIGTERM.

Exit status: 0 ended by SIGTERM; 2 the environment or the file is wrong; 70 a decoder hung, start again; 74 the state
folder or the HTTP port cannot be used.
"""

# ruff: noqa: E402 - three settings must precede every other import

import os
import signal

# First of all: the imports take seconds on a busy node, and until there is a handler the kernel drops every signal to a
# container's first process, which would then live until the end of its grace period.
for _number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(_number, lambda *_: os._exit(0))

import argparse
import asyncio
import logging
import sys
from pathlib import Path

# Before NumPy is loaded: its BLAS would start a thread, with its stack and buffers, for every core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# nats-py loads it for WebSockets where it is installed; the bus is reached by TCP, so 14 MiB are saved.
sys.modules["aiohttp"] = None  # type: ignore[assignment]  # forbids the import

from vigil_contracts.resources import Camera
from vigil_runtime.health import ListenError
from vigil_runtime.logs import configure_logging
from vigil_runtime.settings import SettingsError
from vigil_stream import runner
from vigil_stream.publish.journal import JournalError
from vigil_stream.settings import Settings, load_camera, load_settings

TIDY_S = 0.2
"""For the tasks that are left at the very end."""


def main() -> None:
    """Run the command line and exit."""
    parser = argparse.ArgumentParser(
        prog="vigil-stream", description="Capture one camera, find faces, publish sightings."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one camera until SIGTERM; settings come from VIGIL_* variables")
    run.add_argument("--camera", type=Path, required=True, metavar="FILE", help="one Camera resource, JSON or YAML")
    check = commands.add_parser("check", help="check the settings and the Camera file, and end")
    check.add_argument("--camera", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    code = _run(arguments.camera, only_check=arguments.command == "check")
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: the capture thread may be in a call into the decoder, and the interpreter would wait or crash on it.
    os._exit(code)


def _run(path: Path, *, only_check: bool) -> int:
    try:
        settings, camera = load_settings(), load_camera(path)
    except SettingsError as error:
        sys.stderr.write(f"vigil-stream: {error}\n")
        return runner.EXIT_USAGE
    if only_check:
        sys.stdout.write(f"{camera.metadata.key} is valid\n")
        return runner.EXIT_OK
    fields = {"camera": str(camera.metadata.key), "site": settings.site}
    configure_logging(settings.log_level, settings.log_format, "stream", fields=fields)
    runner.spare_memory()
    try:
        # Not asyncio.run: that would wait for threads that resolve names, and those cannot be interrupted.
        return asyncio.new_event_loop().run_until_complete(_go(settings, camera, path.resolve().parent))
    except (JournalError, ListenError, OSError) as error:
        logging.getLogger("vigil_stream").critical("%s", error)
        return runner.EXIT_STATE


async def _go(settings: Settings, camera: Camera, folder: Path) -> int:
    try:
        return await runner.Runner(settings, camera, folder).run()
    finally:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=TIDY_S)


if __name__ == "__main__":
    main()
