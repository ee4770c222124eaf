"""Ports that are chosen once and kept, so that a restarted server is found where it was."""

import contextlib
import errno
import json
import os
import socket
import urllib.request
from pathlib import Path

import psutil

from vigil_cli.standalone.servers.folders import told
from vigil_cli.supervisor.spec import StartError

LOOPBACK = "127.0.0.1"
EVERYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - named here, chosen by whoever starts Vigil
"""Addresses that stand for all of this machine, and the one by which it reaches itself then."""

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""A proxy named in the environment is for the world outside, not for this machine."""


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether a server could listen there now."""
    try:
        _bind(host, port)
    except OSError:
        return False
    return True


def _bind(host: str, port: int) -> None:
    """Listen there for a moment; raises OSError."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def check_host(host: str) -> None:
    """See to it that a server can listen on an address.

    Raises
    ------
    StartError
        It is none of this machine's; the text names those that are.
    """
    try:
        _bind(host, 0)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            what = f"{host} is no address of this machine"
        else:  # of getaddrinfo, which has words of its own
            what = f"{host} cannot be listened on ({error.strerror or error})"
        msg = f"{what}; it has {', '.join([LOOPBACK, *own_addresses()])}, and 0.0.0.0 stands for all of them."
        raise StartError(msg) from None


def own_addresses() -> list[str]:
    """Give the IPv4 addresses by which other machines reach this one."""
    found = (address for addresses in psutil.net_if_addrs().values() for address in addresses)
    return sorted(one.address for one in found if one.family is socket.AF_INET and not one.address.startswith("127."))


def in_url(host: str) -> str:
    """Write the address on which a server listens as this machine's clients need it in an URL."""
    reached = EVERYWHERE.get(host, host)
    return f"[{reached}]" if ":" in reached else reached


def answers(port: int, path: str, host: str = LOOPBACK) -> bool:
    """Tell whether an HTTP server says that all is well."""
    try:
        with _DIRECT.open(f"http://{in_url(host)}:{port}{path}", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


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

    def get(self, name: str, wanted: int | None = None, host: str = LOOPBACK) -> int:
        """Give the port of this name: the wanted one, else the one of last time, else a free one.

        Raises
        ------
        StartError
            The wanted port is taken, or the choice cannot be kept.
        """
        if wanted is not None:
            check_free(wanted, name, host)
        port = wanted or self._known.get(name)
        if port is None or not is_free(port, host):
            port = self._unused(host)
        self._known[name] = port
        with told(f"The chosen ports cannot be kept in {self._file}"):
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
