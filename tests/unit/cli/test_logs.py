"""Logs are shown as a person reads them."""

import json
import time

import pytest

from vigil_cli.commands.logs import for_people


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            '{"timestamp": "2026-01-02T03:04:05.678Z", "level": "warning", "logger": "a", "event": "no bus", "try": 3}',
            "04:04:05 warning no bus try=3",
        ),
        (
            '{"event": "lost", "level": "error", "timestamp": "2026-01-02T03:04:05Z", "exception": "a\\nOSError: b"}',
            "04:04:05 error   lost\na\nOSError: b",
        ),
        ('{"event": "lost"}', '{"event": "lost"}'),
        ('{"timestamp": 3}', '{"timestamp": 3}'),
        ("{not json", "{not json"),
        ('["a list"]', '["a list"]'),
        ("\x1b[31mred\x1b[0m", "red"),
        ("", ""),
    ],
)
def test_a_line_is_shown_for_people(line: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert for_people(line).plain == shown
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("process", "field", "shown"),
    [
        ("identity", {"camera": "default/lobby"}, True),
        ("stream-default_lobby", {"camera": "default/lobby"}, False),
        ("stream-default_lobby", {"camera": "default/gate"}, True),
        ("identity", {"program": "identity"}, False),
        ("stream-default_lobby", {"program": "stream"}, False),
        ("api", {"program": "identity"}, True),
        ("identity", {"counts": {"rows": 1}}, True),
    ],
)
def test_no_field_of_a_line_is_dropped(process: str, field: dict[str, object], shown: bool) -> None:
    """But what the name of the process states already."""
    line = json.dumps({"timestamp": "2026-01-02T03:04:05Z", "level": "info", "event": "e", **field})
    (name,) = field
    assert (f"{name}=" in for_people(line, process).plain) is shown
