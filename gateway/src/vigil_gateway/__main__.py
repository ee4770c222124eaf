"""`vigil-gateway identity | api | migrate`.

Exit status: 0 ended as told; 1 migration failed; 2 the environment is wrong; 78 the database's schema is not this
program's.
"""

import asyncio
import os
import sys
from typing import Final, NoReturn

# Before NumPy is loaded: its BLAS would start a thread, with its stack and buffers, for every core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import typer

from vigil_gateway import settings
from vigil_gateway.logging import set_up

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_SCHEMA: Final = 78
"""EX_CONFIG of sysexits.h."""

app = typer.Typer(
    name="vigil-gateway",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Who was it, and who wants to know. Settings come from VIGIL_* variables.",
)


@app.command()
def identity() -> None:
    """Consume sightings, find who they are of, remember it, tell it; and take Cameras and Subjects."""
    told = _load(settings.IdentitySettings, "identity")
    from vigil_gateway.identity.program import run
    from vigil_gateway.migrations.check import SchemaError

    try:
        run(told)
    except SchemaError as error:
        _fail(str(error), EXIT_SCHEMA)
    except (OSError, RuntimeError) as error:
        _fail(str(error), EXIT_FAILED)


@app.command()
def api() -> None:
    """Serve GraphQL: what is declared, what was seen, and what is being seen."""
    told = _load(settings.ApiSettings, "api")
    from vigil_gateway.migrations.check import SchemaError
    from vigil_gateway.storage.postgres.pool import check_schema_now

    try:
        asyncio.run(check_schema_now(told.database_url.get_secret_value()))
    except SchemaError as error:
        _fail(str(error), EXIT_SCHEMA)
    from vigil_gateway.api import run

    run(told)


@app.command()
def migrate() -> None:
    """Bring the database to this program's schema; safe to run at any time, by several at once, and again."""
    told = _load(settings.MigrateSettings, "migrate")
    from vigil_gateway.migrations.upgrade import MigrationError, upgrade

    try:
        newest = asyncio.run(upgrade(told.database_url.get_secret_value()))
    except MigrationError as error:
        _fail(str(error), EXIT_FAILED)
    typer.echo(f"the database has schema {newest}")


def _load(kind: type[settings.Settings], program: str) -> settings.Settings:
    try:
        told = settings.load(kind)
    except settings.SettingsError as error:
        _fail(str(error), EXIT_USAGE)
    set_up(told.log_level, told.log_format, program)
    return told


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"vigil-gateway: {message}\n")
    raise typer.Exit(code)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
