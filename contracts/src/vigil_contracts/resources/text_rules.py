"""Rules about text that people write: stored and shown as it is, or refused where it comes in."""

import re
from collections.abc import Callable
from typing import Any, Final

from vigil_contracts.resources.rules import Rule
from vigil_contracts.text import BLANK, NO_CHARACTERS, UNSAFE, cel_class, holds_refused, is_trimmed

_REFUSED: Final = cel_class(UNSAFE, NO_CHARACTERS)
_BLANKS: Final = cel_class(BLANK)

_PORT: Final = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
PORT: Final = f"0{{0,4}}({_PORT})"
"""A port from 1 to 65535, for CEL and Python alike."""
_BRACKETS: Final = r"\[[^\]]*\]"
URL_PORT: Final = rf"^[a-zA-Z]+://([^/?#]*@)?({_BRACKETS}|[^/?#:]*)(:({PORT}|[{{][^}}]*[}}])?)?([/?#](.|\n)*)?$"
"""An address whose port is one, is a `{{key}}`, or is left out."""


def plain_text(field: str, *, text: Callable[[Any], str | None], optional: bool = True) -> Rule:
    """Refuse control characters, changes of direction, and what could not be decoded.

    Parameters
    ----------
    field
        The field's camelCase name inside the object.
    text
        Its value, of the parsed object.
    optional
        The field may be left out.
    """
    absent = f"!has(self.{field}) || " if optional else ""
    return Rule(
        f"{absent}!self.{field}.matches(r'[{_REFUSED}]')",
        f"{field} holds a character that cannot be shown as it is: a control character (such as NUL or a line break), "
        "a change of direction, or the sign for an undecodable character; remove it",
        lambda self: (value := text(self)) is None or not holds_refused(value),
        field,
    )


def trimmed_text(field: str, *, text: Callable[[Any], str | None], optional: bool = True) -> Rule:
    """Refuse a text that shows nothing, or has blanks around it; the parameters are those of `plain_text`."""
    absent = f"!has(self.{field}) || " if optional else ""
    return Rule(
        f"{absent}self.{field} == '' || (!self.{field}.matches(r'^[{_BLANKS}]') && "
        f"!self.{field}.matches(r'[{_BLANKS}]$'))",
        f"{field} begins or ends with a space, or shows nothing; remove the spaces"
        + (f", or leave {field} out" if optional else ""),
        lambda self: not (value := text(self)) or is_trimmed(value),
        field,
    )


def shown_text(field: str, *, text: Callable[[Any], str | None], optional: bool = True) -> tuple[Rule, Rule]:
    """Return both rules of a text that people read."""
    return plain_text(field, text=text, optional=optional), trimmed_text(field, text=text, optional=optional)


def possible_port(field: str, *, url: Callable[[Any], str | None], optional: bool = True) -> Rule:
    """Refuse an address with a port that does not exist; the parameters are those of `plain_text`."""
    absent = f"!has(self.{field}) || " if optional else ""
    return Rule(
        f"{absent}!self.{field}.matches('^[a-zA-Z]+://') || self.{field}.matches(r'{URL_PORT}')",
        f"{field} names a port that does not exist; write a number from 1 to 65535 after the host, or leave it out",
        lambda self: (
            (value := url(self)) is None
            or re.match("^[a-zA-Z]+://", value) is None
            or re.fullmatch(URL_PORT, value) is not None
        ),
        field,
    )
