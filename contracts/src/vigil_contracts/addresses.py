"""Addresses as people may see them: without the login, token or signature that they may hold.

Cameras take logins in the query (`?user=…&password=…`), object stores take signatures there. So nothing of a query or a
fragment is shown, and of a part of the path nothing after the first sign of a value, as in `/user=…`. A token that is a
part of the path by itself looks like a folder: such an address takes it from the Secret, as a `{key}`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator

_HIDDEN: Final = "…"
_FILES: Final = frozenset({"file"})
_PLAIN_AUTHORITY: Final = re.compile(r"(\[[0-9A-Za-z:.%_~-]*\]|[^\s\[\]:@]*)(:[0-9]*)?")
_VALUE: Final = re.compile(r"([=;:&]|%3[ABDabd]|%26).*")
"""From the first sign of a value to the end of a part of a path."""

_IN_TEXT: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]{0,15}://"
    r"(?:[^\s\"'/@:]*:[^\"'/@\n]*@)?"  # a login, in which a blank may have been forgotten
    r"(?:[^\s\"']|'(?=[^\s\"',:;)\]}]))*"
)
_ENCODED: Final = re.compile(r"(?i)([a-z][a-z0-9+.-]{0,15})%3a%2f%2f[^\s\"']*")

_PLACEHOLDER: Final = r"[{]([-._a-zA-Z0-9]{1,253})[}]"
PLACEHOLDER: Final = "[{][-._a-zA-Z0-9]+[}]"
"""A `{key}` in an address, for CEL and Python alike."""


def shown_address(url: str) -> str:
    """Return an address with all left out that may be secret; never longer than the address itself.

    Parameters
    ----------
    url
        One address, such as of a camera or a photo; what has no `//` after its scheme, such as `/dev/video0`, and
        addresses of files are returned as they are.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() in _FILES:
        return url
    end = next((index for index, character in enumerate(rest) if character in "?#\\"), len(rest))
    place, query = rest[:end], rest[end : end + 1] + _HIDDEN if end < len(rest) else ""
    if "@" in rest[end:]:
        # Where the login ends cannot be known: its password may hold the sign of a query.
        return f"{scheme}://{_HIDDEN}"
    login, _, place = place.rpartition("@")
    if login:
        place = f"{_HIDDEN}/{place}" if "/" in login and _is_plain(login) else f"{_HIDDEN}@{place}"
    authority, slash, path = place.partition("/")
    if not login and not _PLAIN_AUTHORITY.fullmatch(authority):
        authority = _HIDDEN
    return f"{scheme}://{authority}{slash}{'/'.join(_shown_part(part) for part in path.split('/'))}{query}"


def _is_plain(place: str) -> bool:
    """Return whether a place begins with a host, so that an @ in it belongs to the path."""
    return _PLAIN_AUTHORITY.fullmatch(place.partition("/")[0]) is not None


def _shown_part(part: str) -> str:
    return _VALUE.sub(rf"\1{_HIDDEN}", part)


def hide_secrets(text: str) -> str:
    """Return a text, such as a message or a line of a log, with each address in it as `shown_address` returns it."""
    if "://" in text:
        text = _IN_TEXT.sub(_shown_match, text)
    return _ENCODED.sub(rf"\1%3A%2F%2F{_HIDDEN}", text) if "%3" in text else text


def hide_in(value: Any) -> Any:  # noqa: ANN401 - plain data of any shape
    """Return plain data of which each text, at any depth, is as `hide_secrets` returns it."""
    if isinstance(value, str):
        return hide_secrets(value)
    if isinstance(value, Mapping):
        return {key: hide_in(one) for key, one in value.items()}
    return [hide_in(one) for one in value] if isinstance(value, list | tuple) else value


PublicText = Annotated[str, AfterValidator(hide_secrets)]
"""A text that leaves a program; addresses in it show no secret, whatever the program put into it."""


def _shown_match(found: re.Match[str]) -> str:
    """Return an address of a text without the punctuation that follows it."""
    address = found[0].rstrip(".,:;)")
    return shown_address(address) + found[0][len(address) :]


def placeholders(url: str) -> list[str]:
    """Return the keys of the `{key}`s in an address, in their order, each once."""
    return list(dict.fromkeys(re.findall(_PLACEHOLDER, url)))
