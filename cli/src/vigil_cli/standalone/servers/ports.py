"""Ports that are chosen once and kept, so that a restarted server is found where it was."""

import contextlib
import json
import os
import socket
from pathlib import Path

import psutil

from vigil_cli.standalone.servers.folders import told
from vigil_cli.standalone.supervisor.spec import StartError

LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def listens(port: int, host: str = LOOPBACK, timeout_s: float = 1.0) -> bool:
    """Tell whether somebody accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def owner(port: int) -> str:
    """Name the program that listens on a port, as far as this user may know."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()}, process {connection.pid}"
    return "another program"


def check_free(port: int, name: str, host: str = LOOPBACK) -> None:
    """See to it that a server can listen on a port.

    Raises
    ------
    StartError
        Somebody else does.
    """
    if not is_free(port, host):
        msg = f"Port {port} for {name} is taken by {owner(port)}; end that one or choose another port."
        raise StartError(msg)


def free_port(host: str = LOOPBACK) -> int:
    """Let the kernel choose a port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


class Ports:
    """The ports of one state folder, by name.

    Parameters
    ----------
    file
        Where they are kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            self._known = {str(name): int(port) for name, port in json.loads(file.read_text()).items()}

    @property
    def known(self) -> dict[str, int]:
        """All ports chosen so far."""
        return dict(self._known)

    def get(self, name: str, wanted: int | None = None) -> int:
        """Give the port of this name: the wanted one, else the one of last time, else a free one.

        Raises
        ------
        StartError
            The wanted port is taken, or the choice cannot be kept.
        """
        if wanted is not None:
            check_free(wanted, name)
        port = wanted or self._known.get(name)
        if port is None or not is_free(port):
            port = self._unused()
        self._known[name] = port
        with told(f"The chosen ports cannot be kept in {self._file}"):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            partial = self._file.with_name(f".{self._file.name}.{os.getpid()}")
            partial.write_text(json.dumps(self._known, indent=2))
            partial.replace(self._file)
        return port

    def _unused(self) -> int:
        while True:
            port = free_port()
            if port not in self._known.values():
                return port
