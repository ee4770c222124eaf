"""Liveness: what a restart of the process would repair."""

from typing import Any

import kopf


@kopf.on.probe(id="operator")
def report_liveness(memo: Any, **_: Any) -> dict[str, str]:  # noqa: ANN401 - kopf's types
    """Return the error of each part that a restart would repair; /healthz responds with the same."""
    parts: dict[str, str] = memo.program.alive()
    return parts
