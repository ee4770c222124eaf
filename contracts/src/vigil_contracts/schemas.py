"""JSON Schemas of all events, for those who read the bus without our code: `python -m vigil_contracts.schemas DIR`."""

import json
import sys
from pathlib import Path
from typing import Any

from vigil_contracts.events import TYPES, CloudEvent


def event_schemas() -> dict[str, str]:
    """Return each schema file's name and text, one per event type and version."""
    found: dict[str, str] = {}
    for kind, model in TYPES.items():
        schema: dict[str, Any] = CloudEvent[model].model_json_schema(by_alias=True)  # type: ignore[valid-type]
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        schema["title"] = kind
        schema["properties"]["type"] = {"const": kind}
        found[f"{kind}.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return found


def main(folder: Path) -> None:
    """Write all schemas into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in event_schemas().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
