"""Characters that a text may hold, and how a text is shown where it holds others.

A control character acts on a terminal, a database refuses NUL, and a change of direction (Unicode's bidirectional
controls) shows a text otherwise than it is written. Resources with such text are refused (`resources.text_rules`); text
from elsewhere, such as a message of a camera or a line of a log, is shown with them escaped.
"""

import re
from typing import Final

Ranges = tuple[tuple[int, int], ...]

UNSAFE: Final[Ranges] = (
    (0x00, 0x1F),
    (0x7F, 0x9F),
    (0x061C, 0x061C),
    (0x200E, 0x200F),
    (0x2028, 0x202E),
    (0x2066, 0x2069),
)
"""Control characters, separators of lines and paragraphs, and changes of direction."""

SURROGATES: Final[Ranges] = ((0xD800, 0xDFFF),)
"""Halves of characters: Python has them in file names that are not UTF-8, JSON in escapes."""

NO_CHARACTERS: Final[Ranges] = ((0xFFFD, 0xFFFF),)
"""The sign for what could not be decoded, and two code points that are never characters."""

BLANK: Final[Ranges] = (
    (0x20, 0x20),
    (0xA0, 0xA0),
    (0xAD, 0xAD),
    (0x115F, 0x1160),
    (0x1680, 0x1680),
    (0x180E, 0x180E),
    (0x2000, 0x200D),
    (0x202F, 0x202F),
    (0x205F, 0x2060),
    (0x2800, 0x2800),
    (0x3000, 0x3000),
    (0x3164, 0x3164),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
)
"""Spaces, and characters that show nothing."""


def character_class(*tables: Ranges) -> str:
    """Return the inside of a character class of Python's regular expressions."""
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for table in tables for first, last in table)


def cel_class(*tables: Ranges) -> str:
    """Return the inside of a character class of RE2, which CEL has; it knows no surrogates."""
    return "".join(f"\\x{{{first:x}}}-\\x{{{last:x}}}" for table in tables for first, last in table)


_UNSAFE: Final = re.compile(f"[{character_class(UNSAFE, SURROGATES)}]")
_REFUSED: Final = re.compile(f"[{character_class(UNSAFE, SURROGATES, NO_CHARACTERS)}]")
_HALF: Final = re.compile(f"[{character_class(SURROGATES)}]")
_BLANK: Final = re.compile(f"[{character_class(BLANK)}]")


def printable(text: str, *, keep: str = "") -> str:
    r"""Return a text that a terminal shows as it is written: each unsafe character as `\u` and its code.

    The escape is that of JSON, so that a JSON document stays one.

    Parameters
    ----------
    keep
        Unsafe characters that stay, such as the line breaks of a traceback.
    """
    return _UNSAFE.sub(lambda found: found[0] if found[0] in keep else f"\\u{ord(found[0]):04x}", text)


def holds_refused(text: str) -> bool:
    """Return whether a text holds a character that no text of a resource may hold."""
    return _REFUSED.search(text) is not None


def holds_half(text: str) -> bool:
    """Return whether a text holds half of a character: UTF-8 cannot express it."""
    return _HALF.search(text) is not None


def joined(text: str) -> str:
    """Return a text whose pairs of halves, as YAML reads them from JSON's escapes, are the characters they mean."""
    if not holds_half(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def is_trimmed(text: str) -> bool:
    """Return whether a text neither begins nor ends with a blank, nor is empty."""
    return bool(text) and _BLANK.match(text[0]) is None and _BLANK.match(text[-1]) is None
