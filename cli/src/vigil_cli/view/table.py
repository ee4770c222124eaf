"""Draw the board for a terminal."""

import datetime as dt
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from vigil_cli.view.board import Board, CameraRow, SightingRow, SubjectRow, short

STATE_STYLES = {"Streaming": "green", "Reconnecting": "yellow", "Suspended": "dim", "Stopped": "dim", "Ended": "dim"}
STYLES = {"info": "", "good": "green", "warning": "yellow", "error": "bold red", "dim": "dim"}


class BoardView:
    """A rich renderable that always shows the board as it is, cut to the terminal's height."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.max_height or console.size.height
        yield draw(self._board, height=height, now=dt.datetime.now(dt.UTC))


def draw(board: Board, height: int, now: dt.datetime) -> RenderableType:
    """Draw everything, the sightings as far as there is room."""
    parts: list[RenderableType] = [_head(board)]
    used = 2
    if board.cameras:
        troubles = _troubles(board.cameras.values())
        parts += [_cameras(board.cameras.values(), now), *troubles]
        used += len(board.cameras) + len(troubles) + 2
    if board.subjects:
        parts.append(_subjects(board.subjects.values()))
        used += len(board.subjects) + 2
    foot = _foot(board)
    room = max(3, height - used - len(foot) - 4)
    parts.append(_sightings(board, room))
    return Group(*parts, *foot)


def _head(board: Board) -> RenderableType:
    troubled = [status for status in board.processes.values() if status.state not in {"Ready", "Stopped"}]
    running = sum(status.state == "Ready" for status in board.processes.values())
    text = Text.assemble(("Vigil  ", "bold"), board.phase, "  ", (f"{running} processes", "dim"))
    for status in troubled[:4]:
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
    table = _plain("Cameras", "name", "source", "state", "fps in", "analysed", "last seen", "when")
    table.columns[3].justify = table.columns[4].justify = "right"
    for row in rows:
        state = "NoHeartbeat" if row.stale else row.state
        when = f"{max(0, round((now - row.last_at).total_seconds()))} s ago" if row.last_at else ""
        person = Text(row.last_person, "dim" if row.last_person == "unknown" else "bold green")
        fps = (f"{row.captured_fps:.1f}", f"{row.analysed_fps:.1f}") if row.state == "Streaming" else ("", "")
        styled = Text(state, STATE_STYLES.get(state, "yellow"))
        table.add_row(short(row.key), row.source, styled, *fps, person, Text(when, "dim"))
    return table


def _troubles(rows: Iterable[CameraRow]) -> list[RenderableType]:
    """Say below the table what is wrong with a camera: it is too long for a column."""
    return [
        Text(f"  {short(row.key)}: {row.reason}: {row.message}", "yellow", no_wrap=True, overflow="ellipsis")
        for row in rows
        if row.message and row.state not in {"Streaming", "Starting", "Suspended"}
    ]


def _subjects(rows: Iterable[SubjectRow]) -> RenderableType:
    table = _plain("Subjects", "name", "enrolled", "photos", "refused")
    for row in rows:
        if row.report is None:
            table.add_row(row.display_name, Text("waiting", "yellow"), str(row.photos), Text(row.problem, "yellow"))
            continue
        accepted = [photo for photo in row.report.photos if photo.accepted]
        refused = "; ".join(
            f"{photo.name}: {photo.message or photo.reason}" for photo in row.report.photos if not photo.accepted
        )
        state = Text("yes", "green") if row.report.enrolled else Text(row.report.reason, "yellow")
        table.add_row(row.display_name, state, f"{len(accepted)}/{row.photos}", Text(refused, "yellow"))
    return table


def _sightings(board: Board, room: int) -> RenderableType:
    title = f"Sightings  ({board.known} recognised, {board.unknown} unknown)"
    table = _plain(title, "time", "camera", "who", "similarity", "for", "")
    for row in list(reversed(board.sightings.values()))[:room]:
        table.add_row(*_sighting(row))
    return table


def _sighting(row: SightingRow) -> list[RenderableType]:
    style = {"Known": "bold green", "Unknown": "yellow"}.get(row.status, "dim")
    seconds = (row.last_seen_at - row.opened_at).total_seconds()
    here = Text("here", "green") if row.state != "Closed" else Text("left", "dim")
    name = row.name if row.status == "Known" else row.status.lower()
    similarity = "" if row.similarity is None else f"{row.similarity:.2f}"
    return [
        Text(row.opened_at.astimezone().strftime("%H:%M:%S"), "dim"),
        short(row.camera),
        Text(name, style),
        Text(similarity, style),
        Text(f"{seconds:.0f} s", "dim"),
        here,
    ]


def _foot(board: Board) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(told, STYLES[style]) for style, told in board.notices.values()]
    lines += [Text(str(finding), "red") for finding in board.findings[:5]]
    if len(board.findings) > 5:
        lines.append(Text(f"… and {len(board.findings) - 5} more; `vigil logs up` has them all", "red"))
    if board.api_url:
        lines.append(Text.assemble(("GraphQL  ", "dim"), f"{board.api_url}/graphql#token={board.token}"))
        lines.append(Text(f"Ctrl-C ends everything. In another terminal: {board.watch_command}", "dim"))
    return lines
