"""Folders of servers."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from vigil_cli.standalone.state import make_writable
from vigil_cli.supervisor.spec import StartError


def prepare(folder: Path, what: str, need_bytes: int = 0) -> Path:
    """Make a folder, check that it can be written and has room, and return its absolute path.

    Parameters
    ----------
    what
        Name of the server for the message, such as `Postgres`.
    need_bytes
        Free bytes that the server needs.

    Raises
    ------
    StartError
        It cannot be made or written, or the disk is full.
    """
    with as_start_error(f"{what} cannot use its folder {folder}"):
        free = make_writable(folder)
    if free < need_bytes:
        msg = (
            f"{what} needs {need_bytes >> 20} MiB in {folder}, and the disk has {free >> 20} MiB left; "
            "make room or choose another state folder."
        )
        raise StartError(msg)
    return folder.absolute()


@contextlib.contextmanager
def as_start_error(what: str) -> Iterator[None]:
    """Turn an error of the operating system into a StartError with a remedy.

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
