"""`vigil`, the command."""

import sys


def main() -> None:
    """Run the command line; an error that the user can correct is one sentence, without a traceback."""
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(1)


def _run() -> None:
    """Run it; return only after an error that was shown."""
    # Not at the top: these imports take half a second, in which the user may press Ctrl-C.
    from vigil_cli.app import app
    from vigil_cli.console import show_error, show_findings
    from vigil_cli.errors import CommandError
    from vigil_cli.manifests import ManifestError
    from vigil_cli.supervisor.spec import StartError

    try:
        app()
    except ManifestError as error:
        show_findings(error.findings)
        show_error(f"{error}; nothing was started.")
    except (CommandError, StartError) as error:
        show_error(str(error))


if __name__ == "__main__":
    main()
