"""`vigil status`."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.table import Table

from vigil_cli.client import ApiError
from vigil_cli.client.enums import resource_word
from vigil_cli.commands.running import api_of, running
from vigil_cli.commands.status_report import (
    CameraReport,
    ProcessReport,
    ResourceName,
    SightingReport,
    SubjectReport,
    UnappliedReport,
    read_processes,
    read_status,
)
from vigil_cli.console import Line, out
from vigil_cli.errors import CommandError
from vigil_cli.standalone.state import StateFolder
from vigil_cli.view.table import STATE_STYLES
from vigil_contracts.conditions import CameraCondition, FitnessReason, SourceReason
from vigil_contracts.events import CameraState, IdentityReason, IdentityStatus, SightingState
from vigil_contracts.resources.camera import SourceType

WHY: Mapping[str, str] = {
    IdentityReason.BELOW_THRESHOLD: "nobody is similar enough",
    IdentityReason.AMBIGUOUS: "two Subjects are equally similar",
    IdentityReason.SHOTS_DISAGREE: "the shots disagree",
    IdentityReason.NOBODY_TO_COMPARE: "nobody is enrolled",
    IdentityReason.NO_FACE: "no face is good enough",
}
"""Why a person was not recognised, in words."""


def run(state: Path, *, as_json: bool = False) -> None:
    """Show processes, cameras, Subjects and the last sightings.

    Raises
    ------
    CommandError
        Vigil does not run, or the API does not answer.
    """
    found, folder = running(state), StateFolder(state)
    if not as_json:  # also when the API does not answer
        out.print(f"Vigil runs (pid {found.pid}), site {found.site}, {found.api_url}/graphql")
        if error := folder.disk_error():
            out.print(Line(error, "bold red"))
        out.print(_processes(read_processes(folder)))
    try:
        report = asyncio.run(read_status(found, folder, api_of(state)))
    except ApiError as error:
        raise CommandError(f"The processes run, but {error}; `{folder.command('logs api')}` may show why.") from None
    if as_json:
        out.print_document(report.model_dump_json(by_alias=True, indent=2))
        return
    out.print(_cameras(report.cameras))
    for line in camera_errors(report.cameras):
        out.print(Line(line, "yellow"))
    if report.unapplied:
        out.print(_unapplied(report.unapplied))
    out.print(_subjects(report.subjects))
    for pair in report.lookalikes:
        alike = f"{_name(pair.subject)} and {_name(pair.other)} look like the same person ({pair.similarity:.2f})"
        out.print(Line(f"{alike}; neither can be recognised until one of them is removed", "yellow"))
    out.print(_sightings(report.sightings))


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", title_style="bold", box=None, header_style="dim")


def _processes(processes: Iterable[ProcessReport]) -> Table:
    table = _table("Processes", "name", "state", "pid", "starts")
    for process in processes:
        style = "green" if process.state == "Ready" else "yellow"
        table.add_row(process.name, Line(process.state, style), str(process.pid or ""), str(process.starts))
    return table


def _cameras(cameras: Iterable[CameraReport]) -> Table:
    table = _table(
        "Cameras", "name", "source", "state", "fps in", "analysed", "p95 ms", "left out", "fit for recognition"
    )
    for camera in cameras:
        beat, source = camera.heartbeat, resource_word(SourceType, camera.source_type)
        if beat is None:
            table.add_row(_name(camera), source, Line("NoHeartbeat", "yellow"))
            continue
        state = "NoHeartbeat" if beat.stale else resource_word(CameraState, beat.state)
        latency = "" if beat.latency_p95_ms is None else f"{beat.latency_p95_ms:.0f}"
        fitness = beat.fitness_message or resource_word(FitnessReason, beat.fitness)
        left_out = str(beat.counters.frames_left_out or "")
        cells = (f"{beat.captured_fps:.1f}", f"{beat.analysed_fps:.1f}", latency, left_out, fitness)
        table.add_row(_name(camera), source, Line(state, STATE_STYLES.get(state, "yellow")), *cells)
    return table


def camera_errors(cameras: Iterable[CameraReport]) -> list[str]:
    """Return what cameras report, such as why they do not stream or a wrong clock: too long for a column."""
    found = []
    for camera in cameras:
        if (beat := camera.heartbeat) and beat.message:
            found.append(f"  {_name(camera)}: {resource_word(SourceReason, beat.reason)}: {beat.message}")
        found += [
            f"  {_name(camera)}: {one.reason}: {one.message}"
            for one in camera.conditions
            if one.type == CameraCondition.CLOCK_SYNCHRONIZED and one.message
        ]
    return found


def _subjects(subjects: Iterable[SubjectReport]) -> Table:
    table = _table("Subjects", "name", "shown as", "enrolled", "photos", "why not", "refused")
    for subject in subjects:
        accepted = sum(photo.accepted for photo in subject.photos)
        refused = [f"{photo.name}: {photo.message or photo.reason}" for photo in subject.photos if not photo.accepted]
        state = Line("yes", "green") if subject.enrolled and subject.active else Line("no", "yellow")
        photos = f"{accepted}/{len(subject.photos)}"
        table.add_row(_name(subject), subject.display_name, state, photos, subject.why, "; ".join(refused))
    return table


def _unapplied(rows: Iterable[UnappliedReport]) -> Table:
    table = _table("Not applied", "manifest", "of", "why")
    for row in rows:
        where = f"{row.file}:{row.line}" if row.line else row.file
        table.add_row(Line(where, "red"), row.resource, row.reason)
    return table


def _sightings(sightings: Iterable[SightingReport]) -> Table:
    table = _table("Last sightings", "opened", "camera", "who", "similarity", "why", "state")
    for sighting in sightings:
        identity = sighting.identity
        status = resource_word(IdentityStatus, identity.status)
        who = identity.subject.display_name if identity.subject else status.lower()
        similarity = "" if identity.similarity is None else f"{identity.similarity:.2f}"
        style = "bold green" if status == IdentityStatus.KNOWN else "yellow"
        why = WHY.get(resource_word(IdentityReason, identity.reason), "")
        opened = f"{sighting.opened_at.astimezone():%Y-%m-%d %H:%M:%S}"
        table.add_row(
            opened,
            _name(sighting.camera),
            Line(who, style),
            similarity,
            why,
            resource_word(SightingState, sighting.state) + (", still" if sighting.still else ""),
        )
    return table


def _name(resource: CameraReport | SubjectReport | ResourceName) -> str:
    return resource.name if resource.namespace == "default" else f"{resource.namespace}/{resource.name}"
