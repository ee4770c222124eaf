"""`vigil-gateway identity | api | migrate`.

Exit status: 0 after SIGTERM or SIGINT; 1 the program failed; 2 the environment is invalid; 78 the schema of the
database is not this program's.
"""

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

# Before NumPy is loaded: its BLAS would start a thread, with its stack and buffers, for every core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import typer
from pydantic_settings import BaseSettings

from vigil_gateway import settings
from vigil_runtime.logs import configure_logging
from vigil_runtime.settings import ProgramSettings, SettingsError, load
from vigil_runtime.structured import configure_structlog

if TYPE_CHECKING:
    from vigil_gateway.program import Program

AnySettings = TypeVar("AnySettings", bound=BaseSettings)
Settings = TypeVar("Settings", bound=ProgramSettings)

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_SCHEMA: Final = 78
"""EX_CONFIG of sysexits.h."""

app = typer.Typer(
    name="vigil-gateway",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Identify sightings, and serve them over GraphQL. Settings come from VIGIL_* variables.",
)


@app.command()
def identity() -> None:
    """Identify and record sightings, publish matches, and serve the registry of Cameras, Sites and Subjects."""
    loaded = _load(settings.IdentitySettings, "identity")
    from vigil_gateway.identity.program import IdentityProgram

    _serve(IdentityProgram(loaded))


@app.command()
def api() -> None:
    """Serve Cameras, Subjects and sightings over GraphQL, with live subscriptions."""
    loaded = _load(settings.ApiSettings, "api")
    from vigil_gateway.api.limits import ApiLimits

    limits = _read(ApiLimits)
    from vigil_gateway.api.program import ApiProgram

    _serve(ApiProgram(loaded, limits))


@app.command()
def migrate() -> None:
    """Bring the database to this program's schema; safe to repeat, and to run several times at once."""
    loaded = _load(settings.MigrateSettings, "migrate")
    from vigil_gateway.migrations.upgrade import MigrationError, upgrade

    try:
        newest = asyncio.run(upgrade(loaded.database_url.get_secret_value()))
    except MigrationError as error:
        _fail(str(error), EXIT_FAILED)
    typer.echo(f"the database has schema {newest}")


def _serve(program: "Program") -> None:
    from vigil_gateway.migrations.check import SchemaError
    from vigil_runtime.health import ListenError

    try:
        asyncio.run(program.serve())
    except SchemaError as error:
        _fail(str(error), EXIT_SCHEMA)
    except (ListenError, OSError, RuntimeError) as error:
        _fail(str(error), EXIT_FAILED)


def _load(kind: type[Settings], program: str) -> Settings:
    loaded = _read(kind)
    fields = {"site": loaded.site} if isinstance(loaded, settings.ServerSettings) else {}
    configure_logging(loaded.log_level, loaded.log_format, program, fields=fields)
    configure_structlog()
    return loaded


def _read(kind: type[AnySettings]) -> AnySettings:
    try:
        return load(kind)
    except SettingsError as error:
        _fail(str(error), EXIT_USAGE)


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"vigil-gateway: {message}\n")
    raise typer.Exit(code)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
