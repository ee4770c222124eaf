# ruff: noqa: INP001 - a script, run with `python -c`
"""Wait until Postgres answers; with the argument `schema`, until it also has this program's schema."""

import asyncio
import os
import sys
import time

import asyncpg

from vigil_gateway.migrations.check import SchemaError, check_schema

DEADLINE_S = float(os.environ.get("DEADLINE_S", "900"))
PAUSE_S = 1.0


async def ask(*, schema: bool) -> None:
    """Ask once; raises what is in the way."""
    connection = await asyncpg.connect(os.environ["VIGIL_DATABASE_URL"], timeout=5, command_timeout=5)
    try:
        await (check_schema(connection) if schema else connection.fetchval("SELECT 1"))
    finally:
        await connection.close(timeout=5)


def main() -> None:
    """Ask until there is nothing in the way, and say whenever something else is."""
    end, told = time.monotonic() + DEADLINE_S, ""
    while True:
        try:
            return asyncio.run(ask(schema=sys.argv[1] == "schema"))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, SchemaError) as error:
            waiting = f"waiting: {type(error).__name__}: {error}"
        if waiting != told:
            sys.stdout.write(f"{waiting}\n")
            sys.stdout.flush()
            told = waiting
        if time.monotonic() > end:
            sys.exit(f"gave up after {DEADLINE_S:g} s; {told}")
        time.sleep(PAUSE_S)


main()
