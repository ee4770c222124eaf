"""Compare an object as seen with a manifest: where nothing differs, nothing is written."""

import hashlib
import json
import re
from decimal import Decimal
from typing import Any, Final

_LIST_KEYS: Final = ("name", "type", "uid", "mountPath", "containerPort", "key", "ip")
"""Keys that identify the elements of a list, as in Kubernetes' list-maps."""

_AMOUNTS: Final = frozenset({"requests", "limits", "sizeLimit"})
_FACTORS: Final = {
    "": Decimal(1),
    **{
        suffix: Decimal(1000) ** power
        for suffix, power in zip("numkMGTPE", (-3, -2, -1, 1, 2, 3, 4, 5, 6), strict=True)
    },
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}
_SUFFIXES: Final = "|".join(sorted(_FACTORS, key=len, reverse=True))
_QUANTITY: Final = re.compile(rf"([+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)({_SUFFIXES})")


def holds(seen: Any, wanted: Any) -> bool:  # noqa: ANN401 - plain data of any shape
    """Return whether everything wanted is there; fields that the server or others added are ignored.

    Lists of named elements are compared by name, other lists element by element.
    """
    if isinstance(wanted, dict):
        return isinstance(seen, dict) and all(name in seen and _field_holds(name, seen, wanted) for name in wanted)
    if isinstance(wanted, list):
        return isinstance(seen, list) and _list_holds(seen, wanted)
    return bool(seen == wanted) and isinstance(seen, bool) == isinstance(wanted, bool)


def differences(seen: Any, wanted: Any, path: str = "") -> list[str]:  # noqa: ANN401
    """Return the paths at which what was seen differs from what is wanted."""
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
    """Return 16 hexadecimal digits that depend on the data and not on the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _field_holds(name: str, seen: dict[str, Any], wanted: dict[str, Any]) -> bool:
    if name in _AMOUNTS:
        return holds(amounts(seen[name]), amounts(wanted[name]))
    return holds(seen[name], wanted[name])


def amounts(value: Any) -> Any:  # noqa: ANN401
    """Return quantities as numbers: the API server writes `1000m` as `1` and `1024Mi` as `1Gi`."""
    if isinstance(value, dict):
        return {name: amounts(one) for name, one in value.items()}
    found = _QUANTITY.fullmatch(str(value))
    if found is None:
        return value
    number, suffix = found.groups()
    return Decimal(number) * _FACTORS[suffix]


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
