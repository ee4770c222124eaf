"""Read JSON within bounds, so that every value that is read can be compared, stored and written again.

RFC 8259 leaves nesting, the size of numbers, repeated names and unpaired surrogates to the reader. Python's reader
accepts the last two, fails with three different errors at the others, and guesses the encoding.
"""

import json
import math
import re
from typing import Any, Final, NoReturn

MAX_LEVELS: Final = 64
"""Objects and arrays inside each other; a Camera has fewer than ten."""

MAX_NUMBER_CHARS: Final = 64
"""A double needs 24, a bigint 20."""

MAX_SHOWN_CHARS: Final = 40
"""Of a text from the request in an error."""

_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])', re.DOTALL)
_TOKENS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]', re.DOTALL)
_ESCAPED_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


class JsonError(ValueError):
    """A text cannot be read; the message has the reason.

    Attributes
    ----------
    is_json
        The text may well be JSON, and is only beyond the bounds.
    """

    def __init__(self, reason: str, *, is_json: bool = True) -> None:
        super().__init__(reason)
        self.is_json = is_json


def decode(given: bytes | str) -> Any:  # noqa: ANN401 - any JSON
    """Return the value of a JSON text; raises JsonError with the reason, which fits behind "cannot be read"."""
    text = given if isinstance(given, str) else _utf8(given)
    _check_levels(text)
    try:
        found = json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        msg = f"it is not JSON ({error})"
        raise JsonError(msg, is_json=False) from None
    if _ESCAPED_SURROGATE.search(text):
        _check_surrogates(found)
    return found


def head(text: str) -> dict[str, str]:
    """Return the texts among an object's own members, also when `decode` refuses what else is in it."""
    found: dict[str, str] = {}
    level, key, last = 0, None, ""
    for token in _TOKENS.finditer(text):
        one = token[0]
        if one in "[{":
            level += 1
        elif one in "]}":
            level -= 1
        elif level != 1:
            continue
        elif one in ":,":
            key = last if one == ":" else None
        elif key is None:
            last = one
        else:
            found[key[1:-1]] = one[1:-1]
    return {key: value for key, value in found.items() if "\\" not in key + value}


def _utf8(given: bytes) -> str:
    try:
        return given.decode()
    except UnicodeDecodeError as error:
        msg = f"it is not UTF-8 (byte {error.start + 1})"
        raise JsonError(msg, is_json=False) from None


def _check_levels(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_LEVELS:
        return
    level = 0
    for token in _BRACKETS.finditer(text):
        level += (token[1] is not None) - (token[2] is not None)
        if level > MAX_LEVELS:
            msg = f"it has more than {MAX_LEVELS} levels of objects and arrays"
            raise JsonError(msg)


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"the name {shown(twice)} is in one object twice"
        raise JsonError(msg)
    return found


def _integer(digits: str) -> int:
    _check_number(digits)
    return int(digits)


def _number(digits: str) -> float:
    _check_number(digits)
    found = float(digits)
    if not math.isfinite(found):
        msg = f"the number {digits} is too large"
        raise JsonError(msg)
    return found


def _check_number(digits: str) -> None:
    if len(digits) > MAX_NUMBER_CHARS:
        msg = f"a number has {len(digits)} characters; at most {MAX_NUMBER_CHARS} are read"
        raise JsonError(msg)


def _constant(word: str) -> NoReturn:
    msg = f"it is not JSON ({word} is no value)"
    raise JsonError(msg, is_json=False)


def _check_surrogates(found: object) -> None:
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        msg = f"a text has half a surrogate pair (\\u{ord(error.object[error.start]):04x}), which is no character"
        raise JsonError(msg) from None


def shown(text: str) -> str:
    """Return a text from a request as an error shows it: quoted, in ASCII, shortened."""
    return ascii(text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…")
