"""Who is asking: made once at the edge of a program, and passed to all that touches personal data."""

import enum
from collections.abc import Hashable
from dataclasses import dataclass

from vigil_contracts.ids import ResourceKey


class PrincipalKind(enum.StrEnum):
    """How a principal proved itself."""

    TOKEN = "Token"  # noqa: S105 - a kind, no secret
    """It holds the program's bearer token."""
    SYSTEM = "System"
    """It is a part of this program that runs by itself."""


class Permission(enum.StrEnum):
    """What a principal may do."""

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
    """Who is asking.

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
        """All that decides what this principal sees: principals with equal keys may share what is rendered."""
        return self.permissions, self.scope

    def require(self, permission: Permission) -> None:
        """Raise PermissionDeniedError unless the principal has a permission.

        No reader evaluates a scope yet, so a principal with a narrower scope than everything is refused.
        """
        if permission not in self.permissions:
            msg = f"{self.kind} {self.id} has no permission {permission}; use a token that has it"
            raise PermissionDeniedError(msg)
        if self.scope != EVERYTHING:
            msg = f"{self.kind} {self.id} may use {permission} only in a part of the data, which is not supported yet"
            raise PermissionDeniedError(msg)


TOKEN_HOLDER = Principal(PrincipalKind.TOKEN, "token", ALL_PERMISSIONS)
"""The holder of the program's one bearer token, to whom everything is permitted."""


def system(part: str, *permissions: Permission) -> Principal:
    """Return the principal as which a part of this program acts."""
    return Principal(PrincipalKind.SYSTEM, part, frozenset(permissions))
