"""`vigil-operator run`.

Exit status: 0 after SIGTERM or SIGINT; 1 the Lease was lost, no API server is configured, or the operator failed; 2 a
setting is invalid; 69 kopf cannot watch Vigil's kinds any longer, such as after a CRD was removed or installed; 74 the
HTTP port is taken. Kubernetes starts the process again after each of them.
"""

import asyncio
import logging
import sys
from typing import Final, NoReturn

import typer

from vigil_operator.settings import Settings
from vigil_runtime.settings import SettingsError, load

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNAVAILABLE: Final = 69
"""EX_UNAVAILABLE of sysexits.h."""
EXIT_IO: Final = 74
"""EX_IOERR of sysexits.h."""

app = typer.Typer(
    name="vigil-operator",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Keeps Cameras, Subjects and Sites as they are declared. Settings come from VIGIL_* variables.",
)


@app.callback()
def _keep_subcommand() -> None:
    """Keep `run` a command of its own, although it is the only one."""


@app.command()
def run() -> None:
    """Run the operator until SIGTERM."""
    try:
        settings = load(Settings)
    except SettingsError as error:
        _fail(str(error), EXIT_USAGE)
    from vigil_operator.host import KopfEndedError, serve
    from vigil_operator.kube.client import ConfigError
    from vigil_operator.kube.lease import LeaseLostError
    from vigil_operator.served_kinds import KindsChangedError
    from vigil_runtime.health import ListenError
    from vigil_runtime.logs import configure_logging
    from vigil_runtime.structured import configure_structlog

    # kopf's failed requests and its end are logged by our own code, with what to check.
    configure_logging(settings.log_level, settings.log_format, "operator", silent=("kopf",))
    logging.getLogger("kopf.objects").setLevel(logging.ERROR)  # an error of a handler, which kopf goes on after
    configure_structlog()
    try:
        asyncio.run(serve(settings))
    except (LeaseLostError, ConfigError) as error:
        _fail(str(error), EXIT_FAILED)
    except (KopfEndedError, KindsChangedError) as error:
        _fail(str(error), EXIT_UNAVAILABLE)
    except ListenError as error:
        _fail(str(error), EXIT_IO)


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"vigil-operator: {message}\n")
    raise typer.Exit(code)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
