"""Logging of every program: one JSON object a line, or lines for people, on standard error.

The layout is the same everywhere: timestamp, level, program, camera, site and trace_id where they are known, logger,
event, then the fields of the record, then the exception. The standard library only, because each stream process pays
for what is imported; `vigil_runtime.structured` sends structlog's records the same way.
"""

import datetime as dt
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, Literal

from vigil_contracts.addresses import hide_in, hide_secrets

Style = Literal["json", "console"]

CHATTY: Final = ("aiohttp", "alembic.runtime.plugins", "asyncio", "httpcore", "httpx", "multipart", "websockets")
"""Libraries whose information is of no use to an operator; their warnings are."""

SILENT: Final = ("nats",)
"""nats.py logs each attempt to reconnect with its traceback; `vigil_runtime.bus` logs an outage once."""

FIELDS: Final = "fields"
"""Key of `extra` under which a record carries its own fields: `log.info("…", extra={"fields": {"count": 3}})`."""

_bound: ContextVar[Mapping[str, object]] = ContextVar("vigil_log_fields", default={})  # noqa: B039 - never changed


def bind_log_fields(**fields: object) -> None:
    """Add fields, such as `trace_id`, to every record of this task and of the tasks that it starts from now on."""
    _bound.set({**_bound.get(), **fields})


def _public_text(value: object) -> str:
    return hide_secrets(str(value))


class _Layout(logging.Formatter):
    """Collects the fields of a record in their order."""

    def __init__(self, program: str, fields: Mapping[str, str]) -> None:
        super().__init__()
        self._static = {"program": program, **fields}

    def entries(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return all fields of a record, the exception among them; addresses in texts show no secret."""
        at = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        found: dict[str, Any] = {
            "timestamp": at,
            "level": record.levelname.lower(),
            **self._static,
            **_bound.get(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        hidden: dict[str, Any] = hide_in(found)
        return hidden


class JsonFormatter(_Layout):
    """Formats a record as one line of JSON.

    Parameters
    ----------
    program
        Name of the program, such as `stream`.
    fields
        Part of every line, such as the camera and the site.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        return json.dumps(self.entries(record), ensure_ascii=False, default=_public_text)


class ConsoleFormatter(_Layout):
    """Formats a record for people: time, level, event, then its own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and the traceback below it where there is one."""
        found = self.entries(record)
        exception = found.pop("exception", "")
        at = dt.datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        own = {key: found[key] for key in (*_bound.get(), *getattr(record, FIELDS, {}))}
        line = " ".join(
            [f"{at} {record.levelname:<7} {found['event']}", *(f"{key}={_public_text(own[key])}" for key in own)]
        )
        return f"{line}\n{exception}" if exception else line


def configure_logging(
    level: str, style: Style, program: str, *, silent: Sequence[str] = (), fields: Mapping[str, str] | None = None
) -> None:
    """Log to standard error from now on.

    Parameters
    ----------
    level
        Name of the lowest level that is logged, in any case.
    silent
        Loggers that log nothing, beside those of `SILENT`.
    fields
        Part of every line, such as `{"camera": "default/gate", "site": "default"}`.
    """
    layout = JsonFormatter if style == "json" else ConsoleFormatter
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(layout(program, fields or {}))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in (*SILENT, *silent):
        logging.getLogger(name).setLevel(logging.CRITICAL)
