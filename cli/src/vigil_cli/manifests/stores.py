"""Secret and ConfigMap of Kubernetes' core/v1, as far as manifests refer to them."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from vigil_contracts.resources import Metadata, Problem
from vigil_contracts.text import holds_half, joined

KINDS = ("Secret", "ConfigMap")
MAX_BYTES = 1 << 20
"""Kubernetes' own limit for a Secret or a ConfigMap."""

Store = dict[str, bytes]
"""Values by key."""


def read_store(document: Mapping[str, Any]) -> tuple[tuple[str, str], Store] | list[Problem]:
    """Return the namespace, name and values of a Secret or ConfigMap, or its faults."""
    problems: list[Problem] = []
    if document.get("apiVersion") != "v1":
        problems.append(Problem(("apiVersion",), f"{document.get('apiVersion')!r} is not v1"))
    plain, encoded = ("stringData", "data") if document["kind"] == "Secret" else ("data", "binaryData")
    values = {key: text.encode(errors="replace") for key, text in _texts(document, plain, problems).items()}
    for name, text in _texts(document, encoded, problems).items():
        try:
            values.setdefault(name, base64.b64decode("".join(text.split()), validate=True))
        except (binascii.Error, ValueError):
            problems.append(Problem((encoded, name), f"is not base64; plain text belongs under {plain}"))
    if sum(map(len, values.values())) > MAX_BYTES:
        problems.append(Problem((), "holds more than 1 MiB, which Kubernetes does not take"))
    key = _key(document.get("metadata"), problems)
    return problems or (key, values)


def _texts(document: Mapping[str, Any], name: str, problems: list[Problem]) -> dict[str, str]:
    entries = document.get(name) or {}
    if not isinstance(entries, Mapping):
        problems.append(Problem((name,), "must be a mapping of keys to text"))
        return {}
    wrong = [key for key, value in entries.items() if not isinstance(value, str)]
    problems += [Problem((name, key), "must be text; put it in quotes") for key in wrong]
    texts = {key: joined(value) for key, value in entries.items() if key not in wrong}
    halves = [key for key, value in texts.items() if holds_half(value)]
    problems += [
        Problem((name, key), "holds half of a character (a lone surrogate), which is no text") for key in halves
    ]
    return texts


def _key(metadata: object, problems: list[Problem]) -> tuple[str, str]:
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    namespace = metadata.get("namespace", "default") if isinstance(metadata, Mapping) else "default"
    try:
        Metadata(name="a", namespace=namespace)
    except ValidationError:
        problems.append(Problem(("metadata", "namespace"), f"{namespace!r} is not a DNS label"))
    if not isinstance(name, str) or not name:
        problems.append(Problem(("metadata", "name"), "is required"))
    return str(namespace), str(name)
