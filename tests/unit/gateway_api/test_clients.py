"""Every operation that a client, a page or a document sends fits the schema."""

import re
from importlib.resources import files
from pathlib import Path

import bench.subscriber
import pytest
from graphql import parse, validate
from tests.e2e import subscriber, system

from vigil_cli.client import documents
from vigil_gateway.handlers.graphql.schema import build_schema

ROOT = Path(__file__).parents[3]
SCHEMA = build_schema()._schema


def blocks(path: Path) -> list[str]:
    """Return the GraphQL examples of a document."""
    return re.findall(r"```graphql\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def operations() -> dict[str, str]:
    """Return all operations by where they are."""
    page = files("vigil_gateway.handlers.graphql").joinpath("page", "page.js").read_text(encoding="utf-8")
    examples = re.findall(r": `([^`$]+)`,", page)
    smoke = re.findall(r'^QUERY = "(.*)"$', (ROOT / "charts/vigil/files/smoke.py").read_text(), re.MULTILINE)
    assert (len(examples), len(smoke)) == (5, 1)
    found = {name: text for name, text in vars(documents).items() if name.isupper()}
    found |= {"CAMERAS of e2e": system.CAMERAS, "SUBJECTS of e2e": system.SUBJECTS, "e2e": subscriber.SIGHTINGS}
    found |= {"bench": bench.subscriber.QUERY, "smoke": smoke[0]}
    found |= {f"page {number}": text for number, text in enumerate(examples)}
    documented = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return found | {f"{path.name} {number}": text for path in documented for number, text in enumerate(blocks(path))}


OPERATIONS = operations()


def test_the_documents_have_examples() -> None:
    assert {"quickstart.md 0", "first-camera.md 0"} <= set(OPERATIONS)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_operations_fit_the_schema(name: str) -> None:
    assert validate(SCHEMA, parse(OPERATIONS[name])) == []
