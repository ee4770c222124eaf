"""Rules between fields, written once: as a CEL expression for the API server and as a predicate for everything else.

A rule has one message. The API server returns it for `kubectl apply`; `vigil up` prints it for the same manifest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from vigil_contracts.base import Strict

BROKEN_RULES = "broken_rules"
"""Type of the pydantic error that carries the broken rules of one object, as (field, message) in `ctx["broken"]`."""

Reason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"]
"""The cause as the API server names it, for programs. FieldValueDuplicate would suppress the message."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule about an object.

    Attributes
    ----------
    cel
        True when the rule holds, over `self`; what the CRD carries as x-kubernetes-validations.
    message
        The text for a person when the rule is broken: the fault and what to do.
    holds
        The same as `cel`, over the parsed object. True for a rule about changes.
    field
        Path from the object to the field of the message, in camelCase; empty: the object itself.
    transition
        For a rule about changes, whose `cel` has `oldSelf`: the same over the old and the new parsed object.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    field: str = ""
    reason: Reason = "FieldValueInvalid"
    transition: Callable[[Any, Any], bool] | None = None


class Ruled(Strict):
    """An object whose fields must agree with each other."""

    RULES: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _obey_rules(self) -> Self:
        broken = [rule for rule in self.RULES if not rule.holds(self)]
        if broken:
            faults = [(rule.field, rule.message) for rule in broken]
            text = "; ".join(rule.message for rule in broken)
            raise PydanticCustomError(BROKEN_RULES, "{text}", {"text": text, "broken": faults})
        return self


def not_yet(field: str, what: str, *, unset: Callable[[Any], bool], cel: str) -> Rule:
    """Refuse a field whose feature does not exist yet, instead of ignoring it.

    Parameters
    ----------
    field
        The field's camelCase name inside the object.
    what
        The feature, as a noun phrase.
    unset
        True when the object leaves the field at its default.
    cel
        The same as `unset`, over `self`.
    """
    message = f"{field}: {what} is not implemented yet; leave {field} out"
    return Rule(cel, message, unset, field, "FieldValueForbidden")


def immutable(field: str, remedy: str, *, value: Callable[[Any], Any]) -> Rule:
    """Refuse another value of a field than the one that the object was made with.

    Parameters
    ----------
    field
        The field's camelCase name inside the object.
    remedy
        Why, and what to do instead.
    value
        The field of the parsed object.
    """
    same = f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    message = f"{field} cannot be changed; {remedy}"
    return Rule(
        same,
        message,
        lambda _: True,
        field,
        "FieldValueForbidden",
        transition=lambda old, new: bool(value(old) == value(new)),
    )


def unique(field: str, what: str, *, names: Callable[[Any], list[str]], optional: bool = True) -> Rule:
    """Refuse two entries of a list with one name.

    Parameters
    ----------
    field
        The list's camelCase name inside the object.
    what
        The entries, in the plural.
    names
        Their names, of the parsed object.
    optional
        The list may be left out.
    """
    absent = f"!has(self.{field}) || " if optional else ""
    return Rule(
        f"{absent}self.{field}.all(one, self.{field}.exists_one(other, other.name == one.name))",
        f"two {what} have the same name; rename one",
        lambda self: len(set(names(self))) == len(names(self)),
        field,
    )
