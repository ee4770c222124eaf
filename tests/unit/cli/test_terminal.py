"""name-with-brackets: what comes from elsewhere is shown as it is written, and is neither markup nor a control."""

import ast
import datetime as dt
import io
import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.shared import ROOT

from vigil_cli import console
from vigil_cli.commands import status
from vigil_cli.commands.logs import for_people
from vigil_cli.commands.status_report import StatusReport
from vigil_cli.commands.try_ import explain
from vigil_cli.console import Line, PlainConsole
from vigil_cli.dashboard import DashboardState, SightingRow
from vigil_cli.manifests import Finding
from vigil_cli.view.screen import screen
from vigil_cli.view.table import draw
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport
from vigil_contracts.resources import Subject
from vigil_contracts.text import printable

CLI = ROOT / "cli" / "src" / "vigil_cli"
ANN = ResourceKey("default", "ann")
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NAMES = st.one_of(
    st.sampled_from(
        ["Ann [/hr] Smith", "Ann [hr]", "[bold red]", ":smile:", "a\x1b]0;x\x07", "\x1b[2J", "a\u202eb", "\x9b1m"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
)
ACTING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def table_of(name: str, to: PlainConsole) -> None:
    subject = Subject.model_validate(
        {
            "metadata": {"name": "ann"},
            "spec": {
                "displayName": "Ann",
                "consent": {"status": "Granted"},
                "photos": [{"name": "p", "secretKeyRef": {"name": "a", "key": "b"}}],
            },
        }
    )
    dashboard = DashboardState(emit=lambda *_: None)
    dashboard.declare({}, {ANN: subject})
    dashboard.subjects[ANN].display_name = name
    dashboard.subject_problem(ANN, f"refused: {name}")
    dashboard.notices["a"] = ("error", name)
    dashboard.findings = [Finding(Path(f"{name}.yaml"), 1, 1, "spec", name)]
    dashboard.sightings["1"] = SightingRow("1", ANN, NOW, NOW, "Open", "Known", name, 0.6)
    to.print(draw(dashboard, to, 4000, 40, NOW))


ROW = {"namespace": "a", "name": "b", "enrolled": False, "active": True, "photos": []}


def status_of(name: str, to: PlainConsole) -> None:
    report = StatusReport.model_validate(
        {
            "pid": 1,
            "site": "default",
            "apiUrl": "http://h",
            "error": name,
            "processes": [],
            "cameras": [],
            "lookalikes": [],
            "unapplied": [{"file": f"{name}.yaml", "line": 3, "resource": name, "reason": name}],
            "subjects": [{**ROW, "displayName": name, "why": name}],
            "sightings": [],
        }
    )  # fmt: skip
    to.print(status._subjects(report.subjects))
    to.print(status._unapplied(report.unapplied))


def findings_of(name: str, _: PlainConsole) -> None:
    console.show_findings([Finding(Path(f"{name}.yaml"), 1, 2, "spec.displayName", name, excerpt=f"name: {name}")])


def error_of(name: str, _: PlainConsole) -> None:
    console.show_error(f"The photo {name} cannot be read")


def logs_of(name: str, to: PlainConsole) -> None:
    fields = {"timestamp": "2026-01-02T03:04:05Z", "level": "info", "event": name, "subject": name}
    to.print(Line("identity │ ", "cyan") + for_people(json.dumps(fields)))


def try_of(name: str, to: PlainConsole) -> None:
    to.print(Line(explain(name, Path(name), [], 0.4), "yellow"))


def plain_line_of(name: str, to: PlainConsole) -> None:
    to.print(f"Wrote {name}")


PLACES = [table_of, status_of, findings_of, error_of, logs_of, try_of, plain_line_of]


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=40, deadline=None)
@given(name=NAMES)
def test_a_name_is_shown_as_it_is_written(place: Callable[[str, PlainConsole], None], name: str) -> None:
    to = PlainConsole(file=io.StringIO(), width=4000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "err", to)
        place(name, to)
    assert isinstance(to.file, io.StringIO)
    shown = to.file.getvalue()
    assert ACTING.search(shown) is None
    if name.isprintable() and not re.search(r"\s", name):
        assert printable(name) in shown


def test_a_document_is_printed_as_json_of_any_width() -> None:
    to = PlainConsole(file=io.StringIO(), width=20)
    data = {"a": "\u202e\x9b [/hr] :smile:" * 20, "b": ["\x1b[2J", "\t", {"c": "é"}]}
    to.print_document(json.dumps(data, ensure_ascii=False, indent=2))
    assert isinstance(to.file, io.StringIO)
    assert json.loads(to.file.getvalue()) == data
    assert ACTING.search(to.file.getvalue()) is None
    assert len(to.file.getvalue().splitlines()) == 10


def test_lines_of_the_screen_and_of_its_log_hold_no_controls(tmp_path: Path) -> None:
    to = PlainConsole(file=io.StringIO(), width=4000)
    with screen(to, tmp_path / "up.log", plain=True) as dashboard:
        dashboard.emit("info", "Ann [/hr] \x1b[2J\nforged line \u202e")
    assert isinstance(to.file, io.StringIO)
    for text in (to.file.getvalue(), (tmp_path / "up.log").read_text()):
        assert "Ann [/hr] \\u001b[2J\\u000aforged line \\u202e" in text
        assert ACTING.search(text) is None
        assert len(text.splitlines()) == 1


def test_names_of_people_are_shown_and_not_logged(tmp_path: Path) -> None:
    to = PlainConsole(file=io.StringIO(), width=400)
    report = EnrolmentReport(subject_id=uuid.uuid4(), enrolled=True, reason="Enrolled")
    with screen(to, tmp_path / "up.log", plain=True) as dashboard:
        dashboard.declare({}, {ANN: SUBJECT})
        dashboard.enrolled(ANN, report)
        dashboard.subject_problem(ANN, "away")
    assert isinstance(to.file, io.StringIO)
    assert to.file.getvalue().count("Ann Smith") == 2
    assert "Ann Smith" not in (tmp_path / "up.log").read_text()
    assert (tmp_path / "up.log").read_text().count("default/ann") == 2


SUBJECT = Subject.model_validate(
    {"metadata": {"name": "ann"}, "spec": {"displayName": "Ann Smith", "consent": {"status": "Pending"}}}
)


def test_all_output_goes_through_the_plain_console() -> None:
    """Rich's own Text and Console read no markup in what is given to them only where nobody forgets to say so."""
    found = [
        f"{file.relative_to(CLI)}:{node.lineno}"
        for file in CLI.rglob("*.py")
        if file.name not in {"console.py", "launch.py"}
        for node in ast.walk(ast.parse(file.read_text()))
        if (isinstance(node, ast.ImportFrom) and node.module in {"rich", "rich.text"})
        or (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"print", "Console", "Text"}
        )
    ]
    assert found == []
