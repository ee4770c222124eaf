"""One supervisor per state folder."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from vigil_cli.supervisor.spec import StartError


def _file(state: Path) -> Path:
    return state / "run" / "lock"


@contextlib.contextmanager
def held(state: Path) -> Iterator[None]:
    """Hold the lock of a state folder; the kernel releases it when this process ends, also after SIGKILL.

    Raises
    ------
    StartError
        Another supervisor holds it.
    """
    _file(state).parent.mkdir(parents=True, exist_ok=True)
    with _file(state).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = (
                f"{state} is in use by another vigil (process {_file(state).read_text().strip()}); "
                "stop that one with: vigil down, or choose another state folder."
            )
            raise StartError(msg) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
