"""Everything that holds personal data has an entry in the registry, and every entry has its eraser."""

import ast
import re
from importlib.resources import files
from pathlib import Path

import pytest
from tests.support.shared import ROOT

from vigil_contracts.bus import streams
from vigil_gateway import personal_data
from vigil_gateway.personal_data import IMPERSONAL_TABLES, STORES, Kind, Step, Store
from vigil_gateway.settings import ApiSettings, IdentitySettings
from vigil_stream.settings import Settings as StreamSettings

SCHEMA = (ROOT / "gateway" / "schema.sql").read_text()
TABLE = re.compile(r"^CREATE TABLE public\.(\w+) \(\n(.*?)^\)", re.MULTILINE | re.DOTALL)
COLUMN = re.compile(r"^    (?!CONSTRAINT )(\w+) ", re.MULTILINE)
READ_ONLY_FOLDERS = {"source_credentials_dir", "nats_credentials"}
"""Folders that programs read and never write."""


def tables_of(schema: str) -> dict[str, set[str]]:
    """Return the columns of every table of a schema."""
    return {name: set(COLUMN.findall(body)) for name, body in TABLE.findall(schema)}


def unlisted_columns(schema: str) -> set[str]:
    """Return `table.column` of every column that the registry does not name, or names without it being there."""
    listed = {store.name: {*store.personal, *store.other} for store in personal_data.of_kind(Kind.TABLE)}
    found = tables_of(schema)
    there = {f"{table}.{column}" for table in found.keys() - IMPERSONAL_TABLES for column in found[table]}
    return there ^ {f"{table}.{column}" for table, columns in listed.items() for column in columns}


def test_every_column_of_every_table_is_listed() -> None:
    assert unlisted_columns(SCHEMA) == set()
    assert IMPERSONAL_TABLES.keys() <= tables_of(SCHEMA).keys()


@pytest.mark.parametrize(
    ("added", "found"),
    [
        ("\nCREATE TABLE public.visitors (\n    name text,\n    badge text\n);\n", {"visitors.name", "visitors.badge"}),
        ("\nCREATE TABLE public.events (\n    nickname text\n);\n", {"events.nickname"}),
    ],
)
def test_a_store_without_an_entry_is_found(added: str, found: set[str]) -> None:
    assert found <= unlisted_columns(SCHEMA + added)


def test_every_stream_is_listed() -> None:
    listed = {store.name.format(site="here") for store in personal_data.of_kind(Kind.STREAM)}
    assert listed == {stream.name for stream in streams("here")}


def test_every_collection_is_listed() -> None:
    """One place for each kind of Qdrant makes collections, by the model alone."""
    folder = Path(str(files("vigil_gateway"))) / "storage" / "qdrant"
    makers = {
        f"{module.stem}.{node.func.attr}"
        for module in folder.glob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (node.func.attr == "create_collection" or ast.unparse(node.func) == "qdrant.EdgeShard.create")
    }
    assert makers == {"server.create_collection", "embedded.create"}
    assert [store.name for store in personal_data.of_kind(Kind.COLLECTION)] == ["vigil-{site}-{model}"]


def test_every_folder_of_a_program_is_listed() -> None:
    folders = {
        f"VIGIL_{name.upper()}"
        for settings in (ApiSettings, IdentitySettings, StreamSettings)
        for name, field in settings.model_fields.items()
        if "Path" in str(field.annotation) and name not in READ_ONLY_FOLDERS
    }
    assert folders == {"VIGIL_STATE_DIR", "VIGIL_QDRANT_PATH"}
    listed = " ".join(store.name for store in personal_data.of_kind(Kind.FILE))
    assert all(name in listed for name in folders)


def test_an_erasure_has_every_step_of_the_registry() -> None:
    assert {store.step for store in STORES} - {None} == set(Step)
    assert [Step.SUBJECT, *personal_data.steps_after_the_subject()] == list(Step)


@pytest.mark.parametrize("store", STORES, ids=lambda store: store.name)
def test_an_entry_says_how_long_who_erases_and_what_proves_it(store: Store) -> None:
    assert store.retention
    assert store.proof
    assert (store.step is None) == bool(store.eraser)
    assert bool(store.personal) == (store.kind is Kind.TABLE)
    assert not set(store.personal) & set(store.other)


def test_the_registry_is_documented() -> None:
    """To write the table anew: python -m vigil_gateway.personal_data."""
    text = (ROOT / "docs" / "privacy.md").read_text()
    shown = text.partition("<!-- registry -->\n")[2].partition("<!-- /registry -->")[0]
    assert shown == personal_data.markdown()
