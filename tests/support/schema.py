"""The gateway's schema of Postgres in one file, from a migrated database: `make schema`.

`gateway/schema.sql` shows what all migrations make together; no program reads it.
"""

import asyncio
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.support.servers import start_postgres
from tests.support.shared import ROOT

from vigil_cli.standalone.servers.postgres import programs
from vigil_gateway.migrations.upgrade import upgrade

FILE: Final = ROOT / "gateway" / "schema.sql"
HEAD: Final = "-- All tables of the gateway, as the migrations make them. Generated; to write it anew: make schema\n\n"
_NOISE: Final = re.compile(r"--|SET |SELECT pg_catalog\.set_config|\\(un)?restrict ")
"""Lines of pg_dump that say nothing of the schema; the last ones are random."""


def dump(url: str) -> str:
    """Return the schema of a database as SQL, without owners and grants.

    Parameters
    ----------
    url
        `postgresql://…`, with password.
    """
    command = [str(programs() / "pg_dump"), "--schema-only", "--no-owner", "--no-privileges", "--dbname", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    lines = [line for line in done.stdout.splitlines() if not _NOISE.match(line)]
    return HEAD + re.sub(r"\n{3,}", "\n\n", "\n".join(lines).strip()) + "\n"


async def _migrated(url: str) -> str:
    await upgrade(url)
    return await asyncio.to_thread(dump, url)


def main() -> None:
    """Start Postgres, migrate a database and write the file."""
    with tempfile.TemporaryDirectory() as folder:
        server = start_postgres(Path(folder) / "postgres")
        try:
            FILE.write_text(asyncio.run(_migrated(asyncio.run(server.new_database()))))
        finally:
            server.running.stop()


if __name__ == "__main__":
    main()
