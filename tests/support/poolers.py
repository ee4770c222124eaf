"""The real PgBouncer in front of a test's Postgres."""

import contextlib
import os
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from tests.support.shared import missing
from tests.support.waiting import wait_until

from vigil_cli.standalone.servers.ports import free_port, is_free

CONFIGURATION = """[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
"""


@contextlib.contextmanager
def pgbouncer(url: str, mode: str, folder: Path) -> Iterator[str]:
    """Run PgBouncer in a pool mode; yields the address of the database through it."""
    program = shutil.which("pgbouncer")
    if program is None:
        missing("pgbouncer (apt-get install pgbouncer, or make cluster-packages)")
    server = urllib.parse.urlsplit(url)
    listen, file = free_port(), folder / "pgbouncer.ini"
    parts = {"host": server.hostname, "port": server.port, "user": server.username, "password": server.password}
    file.write_text(CONFIGURATION.format(**parts, listen=listen, mode=mode))
    for path in (file, folder, *folder.parents):  # as root PgBouncer works as another user only, who has to read it
        with contextlib.suppress(PermissionError):
            path.chmod(path.stat().st_mode | (0o005 if path.is_dir() else 0o004))
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([program, "-q", *user, str(file)])
    try:
        wait_until(lambda: not is_free(listen), 20, "PgBouncer listens")
        yield server._replace(netloc=f"{server.username}:{server.password}@127.0.0.1:{listen}").geturl()
    finally:
        process.terminate()
        process.wait(10)
