# ruff: noqa: INP001 - a script, run with `python -c`
"""Wait until Postgres responds and, with the argument `schema`, until it has the schema of this program."""

import asyncio
import os
import sys
import time

import asyncpg

from vigil_gateway.migrations.check import SchemaError, check_schema

DEADLINE_S = float(os.environ.get("DEADLINE_S", "900"))
PAUSE_S = 1.0


async def ask(*, schema: bool) -> None:
    """Try once; raise the error that prevents it."""
    connection = await asyncpg.connect(os.environ["VIGIL_DATABASE_URL"], timeout=5, command_timeout=5)
    try:
        await (check_schema(connection) if schema else connection.fetchval("SELECT 1"))
    finally:
        await connection.close(timeout=5)


def main() -> None:
    """Try until it succeeds, and print each new reason to wait."""
    end, last = time.monotonic() + DEADLINE_S, ""
    while True:
        try:
            return asyncio.run(ask(schema=sys.argv[1] == "schema"))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, SchemaError) as error:
            waiting = f"waiting: {type(error).__name__}: {error}"
        if waiting != last:
            sys.stdout.write(f"{waiting}\n")
            sys.stdout.flush()
            last = waiting
        if time.monotonic() > end:
            sys.exit(f"gave up after {DEADLINE_S:g} s; {last}")
        time.sleep(PAUSE_S)


main()
