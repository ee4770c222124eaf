"""Every rule of the contracts, as `vigil check` and `vigil up` apply it; tests/cluster asks the API server the same."""

from typing import Any

import pytest
from tests.support.crd_cases import CASES, Case, Document, ids, rules

from vigil_contracts.resources import Camera, Problem, Site, Subject, check, check_update


def test_every_rule_has_a_row_and_every_row_a_rule() -> None:
    assert {case.key for case in CASES} == rules()
    assert len({case.key for case in CASES}) == len(CASES)


def answer(case: Case, document: Document) -> list[Problem]:
    found = check(document)
    if case.before is None or isinstance(found, list):
        return found if isinstance(found, list) else []
    old = check(case.before)
    assert isinstance(old, Camera | Subject | Site)
    return check_update(old, found)


def accepted() -> list[Any]:
    return [pytest.param(case, one, id=f"{ids(case)} {n}") for case in CASES for n, one in enumerate(case.accepted)]


def refused() -> list[Any]:
    return [pytest.param(case, one, id=f"{ids(case)} {n}") for case in CASES for n, one in enumerate(case.refused)]


@pytest.mark.parametrize(("case", "document"), accepted())
def test_what_keeps_a_rule_is_taken(case: Case, document: Document) -> None:
    assert answer(case, document) == []


@pytest.mark.parametrize(("case", "document"), refused())
def test_a_broken_rule_is_refused_with_message_and_path(case: Case, document: Document) -> None:
    found = [(problem.where, problem.message) for problem in answer(case, document)]
    if case.before is not None and case.kind == "Site":  # a Site cannot be Edge at all yet, so that is said first
        assert found == [("spec.role", "role: the role Edge is not implemented yet; leave role out")]
    else:
        assert found == [(case.where, case.message)]


def test_a_role_cannot_change_once_there_are_two() -> None:
    old, new = check(SITE), check(SITE)
    assert isinstance(old, Site)
    assert isinstance(new, Site)
    edge = new.model_copy(update={"spec": new.spec.model_copy(update={"role": "Edge"})})
    (problem,) = check_update(old, edge)
    assert (problem.where, problem.message) == (ROLE.where, ROLE.message)


SITE: Document = {"apiVersion": "vigil.dev/v1alpha1", "kind": "Site", "metadata": {"name": "hq"}, "spec": {}}
ROLE = next(case for case in CASES if case.kind == "Site" and case.before is not None)
