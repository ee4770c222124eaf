"""Whatever a file holds, loading ends with manifests or with findings; what was written is what is read."""

import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from vigil_cli.manifests import ManifestError, load
from vigil_cli.manifests.documents import NotYamlError, documents

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)


def plain(text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        SCALARS | text,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
        max_leaves=20,
    )


PLAIN = plain(st.text(max_size=8))
READABLE = st.text(st.characters(max_codepoint=0xD7FF, exclude_categories=["Cc"]), max_size=8)
"""What JSON writes in a way that YAML reads: YAML knows no surrogate pairs."""
PIECES = st.sampled_from(
    (
        *("apiVersion: vigil.dev/v1alpha1\n", "kind: Camera\n", "kind: Subject\n", "kind: Secret\n", "kind: List\n"),
        *("metadata: {name: a}\n", "spec:\n", "  source: {type: File, url: 'file:x'}\n", "---\n", "data: {a: b}\n"),
        *("items: [1, {}]\n", "- ", "&a ", "*a ", "<<: ", "{", "}", "[", "]", ": ", "? ", "!!", "'", '"', "|\n", "\t"),
    )
)


@given(st.text(max_size=300) | st.lists(PIECES, max_size=25).map("".join))
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_the_loader(tmp_path_factory: Any, text: str) -> None:
    file: Path = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))

    findings = []
    try:
        findings = load([file]).warnings
    except ManifestError as error:
        findings = error.findings

    assert all(finding.line >= 1 and finding.column >= 1 for finding in findings)


@given(st.lists(st.dictionaries(st.text(max_size=8), PLAIN, max_size=4), min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_plain_data_come_back_as_they_were_written(data: list[dict[str, Any]]) -> None:
    """Written by PyYAML with text in quotes, so that nothing is taken for another type."""
    text = yaml.safe_dump_all(data, default_style='"', allow_unicode=False)

    try:
        found = list(documents(text))
    except NotYamlError:
        raise AssertionError(text) from None

    assert [document.data for document in found] == data


@given(st.dictionaries(READABLE, plain(READABLE), max_size=4))
@settings(max_examples=100, deadline=None)
def test_every_value_has_a_position_inside_the_text(data: dict[str, Any]) -> None:
    text = json.dumps(data, indent=1)

    document = next(iter(documents(text)))

    lines = text.count("\n") + 1
    assert all(
        1 <= position.key.line <= lines and 1 <= position.value.line <= lines
        for position in document.positions.values()
    )
