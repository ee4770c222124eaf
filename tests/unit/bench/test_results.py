import io
import json
from pathlib import Path
from typing import Any

import pytest
from bench.context import Bench, Settings
from bench.figures import ExpectedRow, Goal, Row
from bench.page import render
from bench.parts import Part, measured_row, run_part, spoilt
from bench.results import SCHEMA, document, load, merge, save
from bench.table import markdown_table, number, terminal_table
from jsonschema import validate
from rich.console import Console

SPEED = ExpectedRow("speed", "frames/s", Goal("at least", 10))
DELAY = ExpectedRow("delay", "ms")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    with (tmp_path / "out").open("w") as out:
        return Bench(Settings(), Console(file=out, quiet=True), work=tmp_path)


def part(measure: Any) -> Part:
    return Part("p", "A part", "How.", (SPEED, DELAY), measure)


def test_a_part_that_fails_midway_keeps_its_rows(bench: Bench) -> None:
    """A part that fails midway keeps its rows and shows the missing ones as failed."""

    def measure(_: Bench) -> Any:
        yield measured_row("p", SPEED, 12.0)
        raise RuntimeError("the server\nwent away")

    rows = list(run_part(part(measure), bench))
    assert [(row.name, row.value, row.ok) for row in rows] == [("speed", 12.0, True), ("delay", None, False)]
    assert rows[1].note == "RuntimeError: the server went away"


def test_an_expected_row_that_is_missing_is_a_failed_row(bench: Bench) -> None:
    rows = list(run_part(part(lambda _: [measured_row("p", SPEED, 9.0)]), bench))
    assert [(row.name, row.ok, row.failed) for row in rows] == [("speed", False, False), ("delay", False, True)]


def test_a_failure_of_once_is_raised_for_every_caller(bench: Bench) -> None:
    calls = []

    def make() -> int:
        calls.append(1)
        raise OSError("full disk")

    for _ in range(2):
        with pytest.raises(OSError, match="full disk"):
            bench.once("x", make)
    assert len(calls) == 1


def test_the_file_fits_its_schema_and_comes_back(tmp_path: Path) -> None:
    rows = [
        Row("p", "speed", 12.34567, "frames/s", Goal("at least", 10), "n"),
        Row("p", "x", float("nan"), "ms", failed=True),
    ]
    data = document(rows, {"seconds": 15}, {"p": {"runs": [1, 2]}})
    save(data, tmp_path / "new" / "latest.json")
    loaded = load(tmp_path / "new" / "latest.json")
    assert loaded is not None
    validate(loaded, SCHEMA)
    assert loaded["rows"][0] == {
        "part": "p", "name": "speed", "value": 12.3457, "unit": "frames/s", "goal": "≥ 10", "ok": True, "note": "n",
    }  # fmt: skip
    assert loaded["rows"][1]["value"] is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"date": 1}'])
def test_results_that_cannot_be_read_count_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "latest.json"
    path.write_text(text)
    assert load(path) is None
    assert load(tmp_path / "absent") is None


def test_parts_that_were_not_run_keep_their_rows_with_their_date() -> None:
    old = document([Row("a", "x", 1, "s"), Row("b", "y", 2, "s", note="noisy")], {}, {"a": {"k": 1}, "b": {"k": 2}})
    old["date"] = "2026-01-01T00:00:00+00:00"
    new = document([Row("a", "x", 3, "s")], {}, {"a": {"k": 3}})
    merged = merge(merge(old, new, {"a"}), new, {"a"})
    assert [(row["name"], row["value"]) for row in merged["rows"]] == [("y", 2), ("x", 3)]
    assert merged["rows"][0]["note"] == "noisy; measured 2026-01-01T00:00:00+00:00"
    assert merged["details"] == {"b": {"k": 2}, "a": {"k": 3}}


def test_the_checked_in_results_fit_the_schema() -> None:
    path = Path(__file__).parents[3] / "bench" / "results" / "latest.json"
    if path.exists():
        validate(json.loads(path.read_text()), SCHEMA)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "—"),
        (float("nan"), "—"),
        (0.8456, "0.85"),
        (12.34, "12.3"),
        (438.4, "438"),
        (12345.6, "12,346"),
        (5, "5"),
    ],
)
def test_numbers_are_short(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_the_table_shows_failures() -> None:
    console = Console(record=True, width=160, file=io.StringIO())
    console.print(terminal_table("T", [Row("p", "speed", None, "ms", failed=True, note="broken")]))
    assert "failed" in (text := console.export_text())
    assert "broken" in text


def test_a_pipe_does_not_break_a_markdown_table() -> None:
    assert markdown_table(("a",), [("x|y",)]) == "| a |\n| --- |\n| x\\|y |"


def test_the_page_names_missed_goals_failures_and_details() -> None:
    rows = [Row("p", "speed", 9, "frames/s", SPEED.goal), Row("p", "delay", None, "ms", note="gone", failed=True)]
    details = {"p": {"Where the time goes": [{"stage": "decode", "ms": 1.25}], "raw": [1, 2]}}
    page = render(document(rows, {"seconds": 15}, details), [part(lambda _: [])])
    assert "- speed: 9 frames/s, goal ≥ 10" in page
    assert "- delay: could not be measured" in page
    assert "| speed | 9 | frames/s | ≥ 10 | **no** |" in page
    assert "| decode | 1.25 |" in page
    assert "raw" not in page


def test_the_page_reports_when_every_goal_is_met() -> None:
    page = render(document([Row("p", "speed", 11, "frames/s", SPEED.goal)], {"seconds": 1}, {}), [part(lambda _: [])])
    assert "Every goal is met." in page


def test_a_note_reports_other_programs_on_the_machine() -> None:
    assert spoilt(0.1) == ""
    assert "NOT RELIABLE" in spoilt(0.8)
