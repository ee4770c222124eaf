"""The live table fits the terminal, and what a person must know is never what is cut away."""

import datetime as dt
import io

import pytest
from rich.console import Console

from vigil_cli.dashboard import DashboardState, SightingRow
from vigil_cli.view.table import draw
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources import Camera, Metadata, SourceType
from vigil_contracts.resources.camera import CameraSource, CameraSpec

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
KEY = ResourceKey("default", "lobby")
TEXT = "the camera at rtsp://10.0.0.5:554/stream1 refused the connection; check its address and that it is switched on"


def busy_dashboard() -> DashboardState:
    dashboard = DashboardState(emit=lambda *_: None, api_url="http://127.0.0.1:8000", token="t" * 32)
    source = CameraSource(type=SourceType.RTSP, url="rtsp://10.0.0.5:554/stream1")
    dashboard.declare({KEY: Camera(metadata=Metadata(name="lobby"), spec=CameraSpec(source=source))}, {})
    row = dashboard.cameras[KEY]
    row.state, row.reason, row.message = "Reconnecting", "Refused", TEXT
    row.last_person, row.last_at = "Lin-Manuel Miranda 0.61", NOW - dt.timedelta(seconds=112)
    for number in range(40):
        name = str(number)
        dashboard.sightings[name] = SightingRow(name, KEY, NOW, NOW, "Open", "Known", "Lin-Manuel Miranda", 0.61)
    dashboard.notices["disk"] = ("error", f"The disk of /a/long/folder has 100 MiB left: {'free some space ' * 8}")
    return dashboard


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 30), (200, 50)])
def test_the_table_fits_the_terminal_with_its_last_line(width: int, height: int) -> None:
    console = Console(file=io.StringIO(), width=width, height=height, soft_wrap=True)

    console.print(draw(busy_dashboard(), console, width, height, NOW))

    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= height
    assert max(len(line) for line in lines) <= width
    assert lines[-1].startswith("Ctrl-C ends everything")
    shown = " ".join(" ".join(lines).split())
    assert TEXT in shown
    assert "here" in shown
    assert ("1 min" in shown) == (width >= 80)
