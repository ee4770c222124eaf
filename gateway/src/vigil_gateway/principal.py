"""The principal: who makes a request. Made once at the edge of a program, passed to all that reads personal data."""

import enum
from collections.abc import Hashable
from dataclasses import dataclass

from vigil_contracts.ids import ResourceKey


class PrincipalKind(enum.StrEnum):
    """How a principal was authenticated."""

    TOKEN = "Token"  # noqa: S105 - a kind, no secret
    """By the program's bearer token."""
    SYSTEM = "System"
    """Not at all: it is background work of this program."""


class Permission(enum.StrEnum):
    """A right of a principal."""

    READ_SIGHTINGS = "sightings:read"
    READ_SUBJECTS = "subjects:read"
    ENROLL_SUBJECTS = "subjects:enroll"
    ERASE_SUBJECTS = "subjects:erase"
    DELETE_SIGHTINGS = "sightings:delete"


ALL_PERMISSIONS = frozenset(Permission)


class PermissionDeniedError(Exception):
    """The principal may not do this; the message names the permission that is missing."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of the data that a principal may reach; None: all.

    Attributes
    ----------
    categories
        Of Subjects.
    """

    sites: frozenset[str] | None = None
    cameras: frozenset[ResourceKey] | None = None
    categories: frozenset[str] | None = None


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Principal:
    """The person or program that makes a request.

    Attributes
    ----------
    id
        Unique among the principals of its kind; written to logs.
    """

    kind: PrincipalKind
    id: str
    permissions: frozenset[Permission]
    scope: Scope = EVERYTHING

    @property
    def render_key(self) -> Hashable:
        """Everything that decides what this principal sees; principals with equal keys may share rendered responses."""
        return self.permissions, self.scope

    def require(self, permission: Permission) -> None:
        """Raise PermissionDeniedError unless the principal has a permission.

        No reader evaluates a scope yet, so a principal with a narrower scope than everything is refused.
        """
        if permission not in self.permissions:
            msg = f"{self.kind} {self.id} has no permission {permission}; use a token that has it"
            raise PermissionDeniedError(msg)
        if self.scope != EVERYTHING:
            msg = f"{self.kind} {self.id} may use {permission} only in a part of the data; use a token for all data"
            raise PermissionDeniedError(msg)


TOKEN_HOLDER = Principal(PrincipalKind.TOKEN, "token", ALL_PERMISSIONS)
"""The holder of the program's one bearer token, to whom everything is permitted."""


def system(part: str, *permissions: Permission) -> Principal:
    """Return the principal of background work of this program."""
    return Principal(PrincipalKind.SYSTEM, part, frozenset(permissions))
