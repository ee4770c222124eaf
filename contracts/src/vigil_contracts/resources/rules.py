"""Rules between fields, written once: as a CEL expression for the API server and as a predicate for everything else.

A rule has one message. The API server gives it for `kubectl apply`, `vigil up` gives it for the same manifest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from vigil_contracts.base import Strict

BROKEN_RULES = "broken_rules"
"""Type of the pydantic error that carries the messages of all broken rules of one object, as `ctx["messages"]`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One promise about an object.

    Attributes
    ----------
    cel
        True when the rule holds, over `self`; what the CRD carries as x-kubernetes-validations.
    message
        What a person reads when it does not hold: what is wrong and what to do.
    holds
        The same as `cel`, over the parsed object.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]


class Ruled(Strict):
    """An object whose fields must agree with each other."""

    RULES: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _obey_rules(self) -> Self:
        broken = [rule.message for rule in self.RULES if not rule.holds(self)]
        if broken:
            raise PydanticCustomError(BROKEN_RULES, "{text}", {"text": "; ".join(broken), "messages": broken})
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
    return Rule(cel, f"{field}: {what} is not implemented yet; leave {field} out", unset)
