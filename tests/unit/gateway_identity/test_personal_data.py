"""Personal data is reached with a principal only, and SQL is in one place.

The statements of `storage.postgres` name their tables. Every public function or method of a service or a reader that
uses such a statement on a table with personal data takes a Principal, itself or when its object is made, and asks it
for a permission or passes it on.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import pytest

from vigil_gateway import personal_data
from vigil_gateway.personal_data import Kind

GATEWAY = Path(str(files("vigil_gateway")))
STATEMENTS = GATEWAY / "storage" / "postgres"
READERS = ("event_log", "resource_reader", "sighting_reader")
PERSONAL = {store.name for store in personal_data.of_kind(Kind.TABLE)}
TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(\w+)|\.(?:insert|upsert)\(['\"](\w+)")
IMPERSONAL = re.compile(r"SELECT (?:count\(\*\)|min\(seq\)|EXISTS \(SELECT FROM)")
"""A number, or whether there is any row."""

SQL = re.compile(r"\s*(?:SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|WITH \w+ AS)\b")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Member:
    """A public function, or a public method of a public class, with the names that it uses."""

    name: str
    takes_principal: bool
    names: set[str] = field(default_factory=set)


def functions(node: ast.Module | ast.ClassDef) -> dict[str, Function]:
    return {one.name: one for one in node.body if isinstance(one, Function)}


def takes_principal(function: Function) -> bool:
    arguments = [*function.args.args, *function.args.kwonlyargs]
    return any(one.annotation is not None and ast.unparse(one.annotation) == "Principal" for one in arguments)


def names_in(node: ast.AST) -> set[str]:
    found = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return found | {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}


def used(function: Function, local: dict[str, Function]) -> set[str]:
    """Return the names that a function uses, those that the private functions beside it use included."""
    found, waiting, seen = set[str](), [function], set[str]()
    while waiting:
        names = names_in(waiting.pop())
        found |= names
        called = {name for name in names if name.startswith("_") and name in local} - seen
        seen |= called
        waiting += [local[name] for name in called]
    return found


def members(module: Path) -> Iterator[Member]:
    tree = ast.parse(module.read_text())
    own = functions(tree)
    for name, function in own.items():
        if not name.startswith("_"):
            yield Member(f"{module.stem}.{name}", takes_principal(function), used(function, own))
    for one in tree.body:
        if not isinstance(one, ast.ClassDef) or one.name.startswith("_"):
            continue
        methods = functions(one)
        made_with = "__init__" in methods and takes_principal(methods["__init__"])
        for name, method in methods.items():
            if not name.startswith("_"):
                yield Member(f"{one.name}.{name}", made_with or takes_principal(method), used(method, own | methods))


def personal_statements(module: Path) -> set[str]:
    """Return the names of a module's constants that are statements on personal data."""
    found = set[str]()
    for node in ast.parse(module.read_text()).body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if not isinstance(target, ast.Name) or not isinstance(node, ast.AnnAssign) or node.value is None:
            continue
        text = ast.unparse(node.value)
        tables = {one or other for one, other in TABLE.findall(text)}
        if (tables & PERSONAL or names_in(node.value) & found) and not IMPERSONAL.search(text):
            found.add(target.id)
    return found


def personal_members(module: Path) -> list[Member]:
    statements = personal_statements(module)
    return [member for member in members(module) if member.names & statements]


def storage_functions() -> set[str]:
    """Return the names by which services reach personal data."""
    modules = [module for module in STATEMENTS.glob("*.py") if module.stem not in READERS]
    found = {member.name.rpartition(".")[2] for module in modules for member in personal_members(module)}
    return found | {"reconcile"}


def guarded() -> list[Member]:
    """Return all members of services and readers that reach personal data."""
    names = storage_functions()
    services = [member for module in sorted((GATEWAY / "services").glob("*.py")) for member in members(module)]
    readers = [member for name in READERS for member in personal_members(STATEMENTS / f"{name}.py")]
    return [member for member in services if member.names & names] + readers


@pytest.mark.parametrize("member", guarded(), ids=lambda member: member.name)
def test_personal_data_needs_a_principal(member: Member) -> None:
    assert member.takes_principal, f"{member.name} reaches personal data without a Principal"
    assert {"require", "principal", "_principal"} & member.names


def test_the_walk_finds_what_is_known_to_be_personal() -> None:
    found = {member.name for member in guarded()}
    assert found >= {
        "Enroller.put",
        "Enroller.stored",
        "Enroller.claim",
        "Eraser.erase_subject",
        "Eraser.receipt",
        "GallerySync.follow",
        "Inventory.page",
        "Models.load",
        "Relay.run",
        "Retention.enforce",
        "EventLog.events_after",
        "SightingReader.page",
        "SightingReader.by_ids",
        "SubjectReader.page",
        "SubjectReader.by_keys",
        "SubjectReader.by_ids",
    }


def test_sql_is_in_the_storage_of_postgres_and_the_migrations() -> None:
    allowed = (STATEMENTS, GATEWAY / "migrations")
    modules = [one for one in GATEWAY.rglob("*.py") if not any(one.is_relative_to(folder) for folder in allowed)]
    assert len(modules) > 50
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not SQL.match(node.value), f"{module}:{node.lineno} has SQL; move it to storage/postgres"
