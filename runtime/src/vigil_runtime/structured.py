"""structlog on top of `vigil_runtime.logs`: `log.info("event", key=value)` with the same layout and handler."""

from collections.abc import MutableMapping
from typing import Any

import structlog

from vigil_runtime.logs import FIELDS


def configure_structlog() -> None:
    """Send the records of structlog's loggers through the standard library's; `configure_logging` formats them."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, _to_standard_library],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _to_standard_library(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401 - structlog's
    event = fields.pop("event")
    exception = fields.pop("exc_info", None)
    return {"msg": str(event), "exc_info": exception, "extra": {FIELDS: dict(fields)}}
