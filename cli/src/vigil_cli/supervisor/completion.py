"""Programs that run once and end."""

import asyncio
import contextlib
import os

from vigil_cli.supervisor.command import command
from vigil_cli.supervisor.logs import readable
from vigil_cli.supervisor.spec import ProcessSpec, StartError


async def run_to_completion(spec: ProcessSpec, timeout_s: float) -> None:
    """Run a program to its end.

    Raises
    ------
    StartError
        It failed or did not end in time; the text has its last line of output.
    """
    process = await asyncio.create_subprocess_exec(
        *command(spec),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **spec.env},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate()
    except TimeoutError:
        raise StartError(
            f"{spec.name} did not end within {timeout_s:g} s; see its log with: vigil logs {spec.name}"
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode:
        lines = output.decode(errors="replace").strip().splitlines() or ["it wrote nothing"]
        raise StartError(f"{spec.name} failed: {readable(lines[-1])}")
