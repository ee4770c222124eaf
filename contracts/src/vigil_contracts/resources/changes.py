"""The fields that may not change from one version of a resource to the next."""

from pydantic import BaseModel

from vigil_contracts.resources.camera import Camera
from vigil_contracts.resources.problem import Problem
from vigil_contracts.resources.rules import Ruled
from vigil_contracts.resources.site import Site
from vigil_contracts.resources.subject import Subject


def check_update(old: Camera | Subject | Site, new: Camera | Subject | Site) -> list[Problem]:
    """List what is different although it cannot be changed; the API server refuses the same with the same words.

    Parameters
    ----------
    old, new
        Two versions of one resource; of two kinds nothing is compared.
    """
    return _changes(old, new, ()) if type(old) is type(new) else []


def _changes(old: BaseModel, new: BaseModel, path: tuple[str, ...]) -> list[Problem]:
    found: list[Problem] = []
    if isinstance(new, Ruled):
        broken = [rule for rule in new.RULES if rule.transition is not None and not rule.transition(old, new)]
        found += [Problem((*path, rule.field), rule.message) for rule in broken]
    for name, field in type(new).model_fields.items():
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, BaseModel) and isinstance(after, BaseModel):
            found += _changes(before, after, (*path, field.alias or name))
    return found
