"""The definitions and the reference: everything has words, a limit, and one source."""

import re
from enum import StrEnum
from typing import Annotated, Any

import pytest
import yaml
from pydantic import Field
from tests.support.shared import ROOT

from vigil_contracts.base import Strict
from vigil_contracts.conditions import MAX_MESSAGE, Condition
from vigil_contracts.crds import definition, definitions
from vigil_contracts.crds.columns import COLUMNS
from vigil_contracts.crds.structural import SchemaError, structural
from vigil_contracts.reference import CONDITIONS, REASONS, meanings, reference
from vigil_contracts.resources import KINDS

EVERY_REASON = [enumeration for reasons in REASONS.values() for enumeration, _ in reasons]


@pytest.mark.parametrize("enumeration", [*EVERY_REASON, *CONDITIONS.values()], ids=lambda one: one.__name__)
def test_every_reason_says_what_it_means_and_what_to_do(enumeration: type[StrEnum]) -> None:
    found = meanings(enumeration)
    assert set(found) == {str(member) for member in enumeration}
    assert all(one.means for one in found.values())
    if enumeration in EVERY_REASON:
        assert [name for name, one in found.items() if not one.remedy] == []


def walk(schema: dict[str, Any], path: str) -> list[tuple[str, dict[str, Any]]]:
    found = [(path, schema)]
    for name, child in schema.get("properties", {}).items():
        found += walk(child, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        found += walk(schema["items"], f"{path}[]")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_described_and_bounded(kind: str) -> None:
    whole = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for part in ("spec", "status"):
        for path, schema in walk(whole["properties"][part], part):
            assert schema.get("description"), f"{path} has no words"
            assert schema["type"] != "number", f"{path} is a float"
            if schema["type"] == "array":
                assert schema["maxItems"] <= 32, f"{path} is long"


def test_what_is_checked_in_is_what_the_contracts_say() -> None:
    for name, text in definitions().items():
        assert (ROOT / "crds" / name).read_text() == text
        assert yaml.safe_load(text) == definition(yaml.safe_load(text)["spec"]["names"]["kind"])
    assert (ROOT / "docs" / "reference.md").read_text() == reference()


def test_the_reference_names_every_rule() -> None:
    page = reference()
    for kind in KINDS:
        for _, schema in walk(definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"], kind):
            for rule in schema.get("x-kubernetes-validations", []):
                assert rule["message"].replace("|", "\\|") in page


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, "Model.field: maxLength is missing"),
        (list[bool], "Model.field: maxItems is missing"),
        (dict[str, str], "Model.field: maxProperties is missing"),
        (int, "Model.field: minimum is missing"),
        (float, "a value of type number has no place"),
        (dict[str, Any], "must be marked with ANY_OBJECT"),
        (Annotated[str, Field(max_length=5, examples=["x"])], "examples is not understood"),
    ],
)
def test_a_field_that_the_api_server_could_not_bound_is_refused(annotation: Any, expected: str) -> None:
    class Model(Strict):
        field: annotation

    with pytest.raises(SchemaError, match=expected.replace(".", r"\.")):
        structural(Model)


def test_a_message_longer_than_a_status_may_hold_is_cut_not_lost() -> None:
    made = Condition.model_validate(
        {"type": "Ready", "status": "False", "reason": "Failed", "message": "x" * 9000, "lastTransitionTime": 0}
    )
    assert len(made.message) == MAX_MESSAGE
    assert made.message.endswith("…")


def test_no_column_of_kubectl_get_is_over_a_list() -> None:
    """No column of kubectl get is over a list of which only the first entry would be shown."""
    for name, columns in COLUMNS.items():
        for column in columns:
            lists = re.findall(r"\[([^\]]*)\]", column.path)
            assert all(each.startswith("?(@.type==") for each in lists), f"{name}: {column.name}"
