"""Draw the dashboard for a terminal."""

import datetime as dt
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table

from vigil_cli.console import Line
from vigil_cli.dashboard import CameraRow, DashboardState, SightingRow, SubjectRow, short

STATE_STYLES = {"Streaming": "green", "Reconnecting": "yellow", "Suspended": "dim", "Stopped": "dim", "Ended": "dim"}
SIGHTINGS_HEAD = 2
"""Lines of that table beside its rows."""
STYLES = {"info": "", "good": "green", "warning": "yellow", "error": "bold red", "dim": "dim"}


class DashboardView:
    """A rich renderable of the present state of the dashboard, cut to the height of the terminal."""

    def __init__(self, dashboard: DashboardState) -> None:
        self._dashboard = dashboard

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.max_height or console.size.height
        yield draw(self._dashboard, console, options.max_width, height, dt.datetime.now(dt.UTC))


def draw(dashboard: DashboardState, console: Console, width: int, height: int, now: dt.datetime) -> RenderableType:
    """Draw everything, the sightings as far as there is room.

    Parameters
    ----------
    width, height
        Columns and lines of the terminal: a long sentence takes several lines, and none may push out the last ones.
    """
    head, foot = _head(dashboard), _foot(dashboard)
    parts: list[RenderableType] = [head]
    texts = [head, *foot]
    used = SIGHTINGS_HEAD
    if dashboard.cameras:
        problems = _problems(dashboard.cameras.values())
        parts += [_cameras(dashboard.cameras.values(), now), *problems]
        texts += problems
        used += len(dashboard.cameras) + 2
    if dashboard.subjects:
        parts.append(_subjects(dashboard.subjects.values()))
        used += len(dashboard.subjects) + 2
    for text in texts:
        text.no_wrap, text.overflow = False, "fold"  # a console that leaves wrapping to the terminal would cut them
    used += sum(len(text.wrap(console, width)) for text in texts)
    parts.append(_sightings(dashboard, max(1, height - used)))
    return Group(*parts, *foot)


def _head(dashboard: DashboardState) -> Line:
    not_ready = [status for status in dashboard.processes.values() if status.state not in {"Ready", "Stopped"}]
    running = sum(status.state == "Ready" for status in dashboard.processes.values())
    text = Line.of(("Vigil  ", "bold"), dashboard.phase, "  ", (f"{running} processes", "dim"))
    for status in not_ready[:4]:
        text.append(f"  {status.name} {status.state}", "yellow")
    return text


def _plain(title: str, *columns: str) -> Table:
    table = Table(
        *columns, title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    for column in table.columns:
        column.no_wrap, column.overflow = True, "ellipsis"
    return table


def _cameras(rows: Iterable[CameraRow], now: dt.datetime) -> Table:
    table = _plain("Cameras", "name", "source", "state", "fps in", "analysed", "last seen", "ago")
    table.columns[3].justify = table.columns[4].justify = "right"
    for row in rows:
        state = "NoHeartbeat" if row.stale else row.state
        when = _span(now - row.last_at) if row.last_at else ""
        person = Line(row.last_person, "dim" if row.last_person == "unknown" else "bold green")
        fps = (f"{row.captured_fps:.1f}", f"{row.analysed_fps:.1f}") if row.state == "Streaming" else ("", "")
        styled = Line(state, STATE_STYLES.get(state, "yellow"))
        table.add_row(short(row.key), row.source, styled, *fps, person, Line(when, "dim"))
    return table


def _span(time: dt.timedelta) -> str:
    """Return a duration in a few characters."""
    seconds = max(0, round(time.total_seconds()))
    if seconds < 100:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 6000 else f"{seconds // 3600} h"


def _problems(rows: Iterable[CameraRow]) -> list[Line]:
    """Return the problems of cameras, which are too long for a column of the table."""
    return [
        Line(f"  {short(row.key)}: {row.reason}: {row.message}", "yellow")
        for row in rows
        if row.message and row.state not in {"Streaming", "Starting", "Suspended"}
    ]


def _subjects(rows: Iterable[SubjectRow]) -> RenderableType:
    table = _plain("Subjects", "name", "enrolled", "photos", "refused")
    for row in rows:
        if row.report is None:
            table.add_row(
                Line(row.display_name), Line("waiting", "yellow"), str(row.photos), Line(row.problem, "yellow")
            )
            continue
        accepted = [photo for photo in row.report.photos if photo.accepted]
        reasons = [
            f"{photo.name}: {photo.message or photo.reason}" for photo in row.report.photos if not photo.accepted
        ]
        refused = "; ".join([row.problem] * bool(row.problem) + reasons)
        state = Line("yes", "green") if row.report.enrolled else Line(row.report.reason, "yellow")
        table.add_row(Line(row.display_name), state, f"{len(accepted)}/{row.photos}", Line(refused, "yellow"))
    return table


def _sightings(dashboard: DashboardState, room: int) -> RenderableType:
    title = f"Sightings  ({dashboard.known} recognised, {dashboard.unknown} unknown)"
    table = _plain(title, "time", "camera", "who", "similarity", "for", "")
    for row in list(reversed(dashboard.sightings.values()))[:room]:
        table.add_row(*_sighting(row))
    return table


def _sighting(row: SightingRow) -> list[RenderableType]:
    style = {"Known": "bold green", "Unknown": "yellow"}.get(row.status, "dim")
    seconds = (row.last_seen_at - row.opened_at).total_seconds()
    here = Line("here", "green") if row.state != "Closed" else Line("left", "dim")
    name = row.name if row.status == "Known" else row.status.lower()
    similarity = "" if row.similarity is None else f"{row.similarity:.2f}"
    return [
        Line(row.opened_at.astimezone().strftime("%H:%M:%S"), "dim"),
        short(row.camera),
        Line(name, style),
        Line(similarity, style),
        Line(f"{seconds:.0f} s", "dim"),
        here,
    ]


def _foot(dashboard: DashboardState) -> list[Line]:
    lines = [Line(line, STYLES[style]) for style, line in dashboard.notices.values()]
    lines += [Line(str(finding), "red") for finding in dashboard.findings[:5]]
    if len(dashboard.findings) > 5:
        lines.append(Line(f"… and {len(dashboard.findings) - 5} more; `vigil logs up` shows all of them", "red"))
    if dashboard.api_url:
        lines.append(Line.of(("GraphQL  ", "dim"), f"{dashboard.api_url}/graphql#token={dashboard.token}"))
        lines.append(Line(f"Ctrl-C ends everything. In another terminal: {dashboard.watch_command}", "dim"))
    return lines
