"""`vigil status`."""

import asyncio
import contextlib
import datetime as dt
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from vigil_cli.client import ApiError
from vigil_cli.client.documents import STATUS
from vigil_cli.commands.running import api_of, running
from vigil_cli.console import out
from vigil_cli.errors import CommandError
from vigil_cli.standalone.state import StateFolder
from vigil_cli.view.table import STATE_STYLES


def run(state: Path) -> None:
    """Show processes, cameras, Subjects and the last sightings.

    Raises
    ------
    CommandError
        Nothing runs here.
    """
    found = running(state)
    out.print(f"Vigil runs (pid {found.pid}), site {found.site}, {found.api_url}/graphql")
    if trouble := StateFolder(state).trouble():
        out.print(Text(trouble, "bold red"))
    out.print(_processes(state))
    try:
        told = asyncio.run(api_of(state).query(STATUS))
    except ApiError as error:
        raise CommandError(f"The processes run, but {error}; `vigil logs api` may tell why.") from None
    troubles: list[str] = []
    out.print(_cameras(told["cameras"]["nodes"], troubles))
    for trouble in troubles:
        out.print(Text(trouble, "yellow"))
    out.print(_subjects(told["subjects"]["nodes"]))
    out.print(_sightings(told["sightings"]["nodes"]))


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", title_style="bold", box=None, header_style="dim")


def _processes(state: Path) -> Table:
    table = _table("Processes", "name", "state", "pid", "starts")
    with contextlib.suppress(OSError, ValueError):
        for row in json.loads((StateFolder(state).root / "processes.json").read_text()):
            style = "green" if row["state"] == "Ready" else "yellow"
            pid, starts = str(row["pid"] or ""), str(row["starts"])
            table.add_row(row["name"], Text(row["state"], style), pid, starts)
    return table


def _cameras(nodes: Iterable[dict[str, Any]], troubles: list[str]) -> Table:
    table = _table("Cameras", "name", "source", "state", "fps in", "analysed", "p95 ms", "fit for recognition")
    for node in nodes:
        beat = node["heartbeat"]
        if beat is None:
            table.add_row(_name(node), node["sourceType"], Text("NoHeartbeat", "yellow"))
            continue
        state = "NoHeartbeat" if beat["stale"] else beat["state"]
        told = Text(state, STATE_STYLES.get(state, "yellow"))
        if beat["message"] and state != "Streaming":
            troubles.append(f"  {_name(node)}: {beat['reason']}: {beat['message']}")
        latency = "" if beat["latencyP95Ms"] is None else f"{beat['latencyP95Ms']:.0f}"
        fit = beat["fitnessMessage"] or beat["fitness"]
        fps = (f"{beat['capturedFps']:.1f}", f"{beat['analysedFps']:.1f}")
        table.add_row(_name(node), node["sourceType"], told, *fps, latency, fit)
    return table


def _subjects(nodes: Iterable[dict[str, Any]]) -> Table:
    table = _table("Subjects", "name", "shown as", "enrolled", "photos", "refused")
    for node in nodes:
        photos = node["photos"]
        accepted = sum(photo["accepted"] for photo in photos)
        refused = "; ".join(
            f"{photo['name']}: {photo['message'] or photo['reason']}" for photo in photos if not photo["accepted"]
        )
        state = Text("yes", "green") if node["enrolled"] and node["active"] else Text("no", "yellow")
        table.add_row(_name(node), node["displayName"], state, f"{accepted}/{len(photos)}", refused)
    return table


def _sightings(nodes: Iterable[dict[str, Any]]) -> Table:
    table = _table("Last sightings", "opened", "camera", "who", "similarity", "state")
    for node in nodes:
        identity = node["identity"]
        who = (identity["subject"] or {}).get("displayName") or identity["status"].lower()
        similarity = "" if identity["similarity"] is None else f"{identity['similarity']:.2f}"
        style = "bold green" if identity["status"] == "Known" else "yellow"
        opened = dt.datetime.fromisoformat(node["openedAt"]).astimezone()
        table.add_row(f"{opened:%Y-%m-%d %H:%M:%S}", _name(node["camera"]), Text(who, style), similarity, node["state"])
    return table


def _name(node: dict[str, Any]) -> str:
    return str(node["name"] if node["namespace"] == "default" else f"{node['namespace']}/{node['name']}")
