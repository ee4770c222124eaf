"""The Vigil that runs with a state folder."""

from pathlib import Path

from vigil_cli.client import Api
from vigil_cli.errors import CommandError
from vigil_cli.standalone.state import Running, StateFolder


def running(state: Path) -> Running:
    """Return the Vigil that runs with this state folder.

    Raises
    ------
    CommandError
        There is none, or it is still starting.
    """
    folder = StateFolder(state)
    found = folder.running()
    if found is not None:
        return found
    if folder.is_locked:
        raise CommandError("Vigil is still starting; try again in a moment.")
    raise CommandError(f"No Vigil runs with the state folder {state}; start one with `vigil up -f DIR`.")


def api_of(state: Path) -> Api:
    """Return the API of the Vigil that runs; raise CommandError."""
    return Api(running(state).api_url, StateFolder(state).secrets().api)
