"""Folders for servers: made ready, or refused in one sentence."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from vigil_cli.supervisor.spec import StartError


def prepare(folder: Path, what: str, need_bytes: int = 0) -> Path:
    """Make a folder, see to it that it can be written and has room, and give its absolute path.

    Parameters
    ----------
    what
        Whose folder it is, for the sentence: `Postgres`.
    need_bytes
        Free space without which the server would soon stop.

    Raises
    ------
    StartError
        It cannot be made or written, or the disk is full.
    """
    with told(f"{what} cannot use its folder {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
        free = shutil.disk_usage(folder).free
    if free < need_bytes:
        msg = (
            f"{what} needs {need_bytes >> 20} MiB in {folder}, and the disk has {free >> 20} MiB left; "
            "make room or choose another state folder."
        )
        raise StartError(msg)
    return folder.absolute()


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Tell of an error of the operating system in one sentence.

    Raises
    ------
    StartError
        In place of OSError.
    """
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        msg = (
            f"{what}: {error.strerror or error}{where}; make room, correct its rights, or choose another state folder."
        )
        raise StartError(msg) from error
