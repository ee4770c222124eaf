"""Text is shown as it is written, and what would act on a terminal is shown as an escape."""

import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil_contracts.resources import Subject, check
from vigil_contracts.text import holds_refused, is_trimmed, joined, printable

SUBJECT: dict[str, Any] = {
    "apiVersion": "vigil.dev/v1alpha1",
    "kind": "Subject",
    "metadata": {"name": "ann"},
    "spec": {"displayName": "Ann", "consent": {"status": "Withdrawn"}},
}
DIRECTIONS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(st.text(st.characters()))
def test_no_text_acts_on_a_terminal(text: str) -> None:
    shown = printable(text)
    assert not [one for one in shown if unicodedata.category(one) in {"Cc", "Cs", "Zl", "Zp"} or one in DIRECTIONS]
    shown.encode()
    if shown != text:
        assert holds_refused(text)


@pytest.mark.parametrize("name", ["Ann [/hr] Smith", "Renée O'Hara", "小林 さくら", "عليّ", "👩‍🚀", ":smile:", "a\\b"])
def test_what_people_write_is_shown_as_it_is(name: str) -> None:
    assert printable(name) == name
    assert not holds_refused(name)
    assert is_trimmed(name)


@given(st.dictionaries(st.text(), st.text()))
def test_a_json_document_stays_the_same(data: dict[str, str]) -> None:
    document = json.dumps(data, ensure_ascii=False, indent=2)
    assert json.loads(printable(document, keep="\n")) == data


@given(st.text(st.characters(exclude_categories=[]), max_size=8))
def test_every_text_is_stored_as_it_is_or_refused(text: str) -> None:
    """text-and-moments: never an error of a parser or a store."""
    found = check({**SUBJECT, "spec": {**SUBJECT["spec"], "displayName": text}})
    if isinstance(found, Subject):
        assert found.spec.display_name == joined(text)
        assert "\0" not in text
        found.model_dump_json().encode()
    else:
        assert isinstance(found, list)
        assert {problem.where for problem in found} == {"spec.displayName"}
        assert not [one for one in found if re.search("JSON|surrogate in hex", one.message)]


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({**SUBJECT, "metadata": {"name": "ann", "labels": {"a": "b\0"}}}, "metadata.labels.a"),
        ({**SUBJECT, "metadata": {"name": "ann\0"}}, "metadata.name"),
        ({**SUBJECT, "spec": {"displayName": "caf\udce9", "consent": {"status": "Pending"}}}, "spec.displayName"),
        ({**SUBJECT, "spec": {"display\ud800": "a"}}, "spec"),
    ],
)
def test_a_text_beside_the_rules_is_refused_by_name(document: dict[str, object], where: str) -> None:
    found = check(document)
    assert isinstance(found, list)
    assert [problem.where for problem in found] == [where]
