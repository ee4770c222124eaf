"""Logging: one layout for every program, from the standard library's loggers and structlog's alike."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from vigil_runtime.logs import bind_log_fields, configure_logging
from vigil_runtime.structured import configure_structlog

ORDER = ["timestamp", "level", "program", "camera", "site", "trace_id", "logger", "event", "count"]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[str]]]:
    """Return what reads the lines logged so far, and leave the loggers as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield lambda: _errors(capsys)
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def _errors(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("library", ["logging", "structlog"])
async def test_every_program_writes_the_same_layout(lines: Callable[[], list[str]], library: str) -> None:
    configure_logging("info", "json", "stream", fields={"camera": "default/gate", "site": "harbour"})
    configure_structlog()

    async def traced() -> None:
        bind_log_fields(trace_id="4bf9")
        if library == "logging":
            logging.getLogger("vigil.test").info("100% done", extra={"fields": {"count": 3}})
        else:
            structlog.get_logger("vigil.test").info("100% done", count=3)

    await asyncio.create_task(traced())
    (line,) = map(json.loads, lines())
    assert list(line) == ORDER
    del line["timestamp"]
    assert line == {
        "level": "info",
        "program": "stream",
        "camera": "default/gate",
        "site": "harbour",
        "trace_id": "4bf9",
        "logger": "vigil.test",
        "event": "100% done",
        "count": 3,
    }


def test_a_traceback_is_part_of_the_line(lines: Callable[[], list[str]]) -> None:
    configure_logging("info", "json", "api")
    configure_structlog()
    try:
        int("broken")
    except ValueError:
        structlog.get_logger("vigil.test").exception("failed", part="relay")
    (line,) = map(json.loads, lines())
    assert (line["event"], line["level"], line["part"]) == ("failed", "error", "relay")
    assert "ValueError: invalid literal" in line["exception"]


def test_people_get_event_and_fields_on_one_line(lines: Callable[[], list[str]]) -> None:
    configure_logging("warning", "console", "operator")
    logging.getLogger("vigil.test").info("not shown")
    logging.getLogger("vigil.test").warning("bus away", extra={"fields": {"reason": "refused"}})
    (line,) = lines()
    assert line.endswith("WARNING bus away reason=refused")


def test_chatty_libraries_log_warnings_only(lines: Callable[[], list[str]]) -> None:
    configure_logging("debug", "json", "api", silent=("kopf",))
    for name in ("httpx", "nats", "kopf"):
        logging.getLogger(name).info("noise")
    logging.getLogger("nats").error("reconnecting")
    logging.getLogger("httpx").warning("heard")
    assert [json.loads(line)["event"] for line in lines()] == ["heard"]
