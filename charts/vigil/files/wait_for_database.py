"""Wait until Postgres answers; with the argument `schema`, until it also has this program's schema."""

import asyncio
import os
import sys
import time

import asyncpg

from vigil_gateway.migrations.check import SchemaError, check_schema

DEADLINE_S = 900
PAUSE_S = 1.0


async def ask(want_schema: bool) -> None:
    connection = await asyncpg.connect(os.environ["VIGIL_DATABASE_URL"], timeout=5, command_timeout=5)
    try:
        await (check_schema(connection) if want_schema else connection.fetchval("SELECT 1"))
    finally:
        await connection.close(timeout=5)


def main() -> None:
    end, told = time.monotonic() + DEADLINE_S, ""
    while time.monotonic() < end:
        try:
            return asyncio.run(ask(sys.argv[1] == "schema"))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, SchemaError) as error:
            waiting = f"waiting: {type(error).__name__}: {error}"
        if waiting != told:
            print(waiting, flush=True)
            told = waiting
        time.sleep(PAUSE_S)
    sys.exit(f"gave up after {DEADLINE_S} s; {told}")


main()
