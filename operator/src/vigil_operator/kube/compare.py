"""Is what was seen already what is wanted: then nothing is written."""

import hashlib
import json
from typing import Any, Final

_LIST_KEYS: Final = ("name", "type", "uid", "mountPath", "containerPort", "key", "ip")
"""What tells the elements of a list apart, as in Kubernetes' list-maps."""


def holds(seen: Any, wanted: Any) -> bool:  # noqa: ANN401 - plain data of any shape
    """Say whether all that is wanted is there; what the server or others added beside it does not matter.

    Lists of named things are compared by their names, other lists element by element.
    """
    if isinstance(wanted, dict):
        return isinstance(seen, dict) and all(name in seen and holds(seen[name], wanted[name]) for name in wanted)
    if isinstance(wanted, list):
        return isinstance(seen, list) and _list_holds(seen, wanted)
    return bool(seen == wanted) and isinstance(seen, bool) == isinstance(wanted, bool)


def differences(seen: Any, wanted: Any, path: str = "") -> list[str]:  # noqa: ANN401
    """Name the places at which what was seen is not what is wanted."""
    if holds(seen, wanted):
        return []
    if isinstance(wanted, dict) and isinstance(seen, dict):
        return [
            place
            for name, value in wanted.items()
            for place in (differences(seen[name], value, f"{path}.{name}") if name in seen else [f"{path}.{name}"])
        ]
    return [path or "."]


def fingerprint(value: Any) -> str:  # noqa: ANN401
    """Give 16 hex digits that differ when the data do, in whatever order its keys stand."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _list_holds(seen: list[Any], wanted: list[Any]) -> bool:
    key = _key_of(wanted)
    if key is None:
        return len(seen) == len(wanted) and all(holds(one, other) for one, other in zip(seen, wanted, strict=True))
    by_key = {one.get(key): one for one in seen if isinstance(one, dict)}
    return all(one[key] in by_key and holds(by_key[one[key]], one) for one in wanted)


def _key_of(wanted: list[Any]) -> str | None:
    if not wanted or not all(isinstance(one, dict) for one in wanted):
        return None
    for key in _LIST_KEYS:
        values = [one.get(key) for one in wanted]
        if None not in values and all(isinstance(value, str | int) for value in values):
            return key if len(set(values)) == len(values) else None
    return None
