"""JSON is read within bounds, and every value that is read can be written again."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil_gateway.http.json_text import MAX_LEVELS, JsonError, decode, head

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_what_is_json_is_read_as_python_reads_it(value: Any) -> None:
    for ascii_only in (True, False):
        assert decode(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_anything_else_is_refused_by_one_error(value: bytes | str) -> None:
    with contextlib.suppress(JsonError):
        json.dumps(decode(value), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("text", "reason", "is_json"),
    [
        (b'"caf\xe9"', "not UTF-8 (byte 5)", False),
        ('"a"'.encode("utf-16"), "not UTF-8", False),
        (b"\x1f\x8b\x08\x00", "not UTF-8", False),
        (b"{", "not JSON", False),
        (b"", "not JSON", False),
        (b"NaN", "not JSON (NaN is no value)", False),
        ("[" * 3000 + "]" * 3000, "more than 64 levels", True),
        ('{"a":' * 3000 + "1" + "}" * 3000, "more than 64 levels", True),
        ("9" * 5000, "a number has 5000 characters", True),
        ("-0." + "1" * 5000, "a number has", True),
        ("1e999", "the number 1e999 is too large", True),
        (r'"\ud800"', r"half a surrogate pair (\ud800)", True),
        (r'{"\uDFFF": 1}', "half a surrogate pair", True),
        ('{"a": 1, "b": 2, "a": 3}', "the name 'a' is in one object twice", True),
        ('"a\x00b"', "not JSON", False),
    ],
)
def test_what_is_beyond_the_bounds_is_named(text: bytes | str, reason: str, is_json: bool) -> None:
    with pytest.raises(JsonError) as refused:
        decode(text)
    assert reason in str(refused.value)
    assert refused.value.is_json is is_json


def test_what_is_within_the_bounds_is_read() -> None:
    deep = "[" * MAX_LEVELS + "]" * MAX_LEVELS
    assert decode(deep + " ") == json.loads(deep)
    assert decode('["' + "[" * 3000 + '"]') == ["[" * 3000]
    assert decode(r'"\ud83d\ude00 \u0000 \\ud800"') == "😀 \x00 \\ud800"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"type":"subscribe","id":"1","payload":{"id":"no"}}', {"type": "subscribe", "id": "1"}),
        ('{"payload":' + "[" * 3000 + "]" * 3000 + ', "id": "7"}', {"id": "7"}),
        ('{"id": 1, "a": ["x", "y"], "b": {"c": "d"}, "type": "t"}', {"type": "t"}),
        (r'{"id": "\u0031", "type": "t"}', {"type": "t"}),
        ('["id", "1"]', {}),
        ('{"id"', {}),
        ('"id"', {}),
        ("", {}),
    ],
)
def test_the_head_of_an_object_is_read_without_the_rest(text: str, found: dict[str, str]) -> None:
    assert head(text) == found


@given(st.text(alphabet='"\\[]{}:,ab1 ', max_size=60))
def test_the_head_of_any_text_can_be_asked_for(text: str) -> None:
    head(text)
