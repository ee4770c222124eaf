"""Ports that are chosen once and stored, so that a restarted server has the same address."""

import contextlib
import errno
import json
import os
import socket
import urllib.request
from pathlib import Path

import psutil

from vigil_cli.standalone.servers.folders import as_start_error
from vigil_cli.supervisor.spec import StartError

LOOPBACK = "127.0.0.1"
EVERYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - named here, chosen by the user
"""Addresses that stand for all of this machine, and the loopback address of the same kind."""

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Without the proxy of the environment, which is not meant for this machine."""


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Return whether a server could listen there now."""
    try:
        _bind(host, port)
    except OSError:
        return False
    return True


def _bind(host: str, port: int) -> None:
    """Listen there for a moment; raise OSError."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def check_host(host: str) -> None:
    """Check that a server can listen on an address.

    Raises
    ------
    StartError
        It is not an address of this machine; the text lists those.
    """
    try:
        _bind(host, 0)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            what = f"{host} is not an address of this machine"
        else:  # of getaddrinfo, which has its own text
            what = f"{host} cannot be listened on ({error.strerror or error})"
        msg = f"{what}; it has {', '.join([LOOPBACK, *own_addresses()])}, and 0.0.0.0 stands for all of them."
        raise StartError(msg) from None


def own_addresses() -> list[str]:
    """Return the IPv4 addresses by which other machines reach this one."""
    found = (address for addresses in psutil.net_if_addrs().values() for address in addresses)
    return sorted(one.address for one in found if one.family is socket.AF_INET and not one.address.startswith("127."))


def in_url(host: str) -> str:
    """Return the address on which a server listens as clients on this machine write it in an URL."""
    reached = EVERYWHERE.get(host, host)
    return f"[{reached}]" if ":" in reached else reached


def answers(port: int, path: str, host: str = LOOPBACK) -> bool:
    """Return whether an HTTP server answers with 200."""
    try:
        with _DIRECT.open(f"http://{in_url(host)}:{port}{path}", timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, ValueError):
        return False


def listens(port: int, host: str = LOOPBACK, timeout_s: float = 1.0) -> bool:
    """Return whether a server accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def owner(port: int) -> str:
    """Return the program that listens on a port, as far as this user may see it."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()}, process {connection.pid}"
    return "another program"


def check_free(port: int, name: str, host: str = LOOPBACK) -> None:
    """Check that a server can listen on a port.

    Raises
    ------
    StartError
        Another program does.
    """
    if not is_free(port, host):
        msg = f"Port {port} for {name} is taken by {owner(port)}; end that one or choose another port."
        raise StartError(msg)


def free_port(host: str = LOOPBACK) -> int:
    """Return a port that is free now, chosen by the kernel."""
    family, kind, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.bind(address)
        port: int = probe.getsockname()[1]
        return port


class Ports:
    """The ports of one state folder, by name.

    Parameters
    ----------
    file
        File that stores them.
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

    def get(self, name: str, wanted: int | None = None, host: str = LOOPBACK) -> int:
        """Return the port of this name: the wanted one, else the one of last time, else a free one.

        Raises
        ------
        StartError
            The wanted port is taken, or the choice cannot be stored.
        """
        if wanted is not None:
            check_free(wanted, name, host)
        port = wanted or self._known.get(name)
        if port is None or not is_free(port, host):
            port = self._unused(host)
        self._known[name] = port
        with as_start_error(f"The chosen ports cannot be stored in {self._file}"):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            partial = self._file.with_name(f".{self._file.name}.{os.getpid()}")
            partial.write_text(json.dumps(self._known, indent=2))
            partial.replace(self._file)
        return port

    def _unused(self, host: str) -> int:
        while True:
            port = free_port(host)
            if port not in self._known.values():
                return port
