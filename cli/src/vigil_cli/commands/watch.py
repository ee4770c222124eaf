"""`vigil watch`."""

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from vigil_cli.client import Api, ApiRefusedError
from vigil_cli.commands.running import api_of
from vigil_cli.console import Line, err, out
from vigil_cli.dashboard import DashboardState
from vigil_cli.errors import CommandError
from vigil_cli.view.table import STYLES


def run(
    state: Path, url: str | None, token: str | None, *, known_only: bool, json_lines: bool, after: str | None
) -> None:
    """Print sightings until Ctrl-C.

    Raises
    ------
    CommandError
        Vigil does not run, or the API refuses.
    """
    if url is not None and not token:
        raise CommandError("An API on another machine needs its token: --token, or the variable VIGIL_TOKEN.")
    api = Api(url, token or "") if url else api_of(state)
    selected = {"identity": ["KNOWN"]} if known_only else None
    handle = _print_json if json_lines else _printer()
    try:
        asyncio.run(_listen(api, selected, after, handle))
    except ApiRefusedError as error:
        raise CommandError(f"The API refuses the subscription: {error}; check --token and the filter.") from None


async def _listen(
    api: Api, selected: dict[str, Any] | None, after: str | None, handle: Callable[[dict[str, Any]], None]
) -> None:
    def lost(why: str) -> None:
        err.print(Line(f"No connection ({why}); trying again, and no event will be missed", "yellow"))

    def back() -> None:
        err.print(Line("Connected again", "green"))

    async with aclosing(api.sightings(after, selected, lost, back)) as events:
        async for event in events:
            handle(event)


def _print_json(event: dict[str, Any]) -> None:
    out.print_document(json.dumps(event, ensure_ascii=False))


def _printer() -> Callable[[dict[str, Any]], None]:
    """Return a handler that prints a line for each recognised person, and for each unknown one that has left."""
    moment = ""

    def emit(style: str, line: str) -> None:
        out.print(Line(f"{moment} ", "dim").append(line, STYLES[style]))

    dashboard = DashboardState(emit=emit)

    def handle(event: dict[str, Any]) -> None:
        nonlocal moment
        moment = f"{dt.datetime.fromisoformat(event['sighting']['lastSeenAt']).astimezone():%H:%M:%S}"
        dashboard.sighting(event)

    return handle
