"""The SDL that is checked in is the schema's, and its enums are the contracts'."""

from pathlib import Path

from vigil_contracts.events import IdentityStatus, SightingState
from vigil_gateway.handlers.graphql.sdl import main, sdl

CHECKED_IN = Path(__file__).parents[3] / "gateway" / "schema.graphql"


def test_checked_in_sdl_is_up_to_date() -> None:
    hint = "run: python -m vigil_gateway.handlers.graphql.sdl gateway/schema.graphql"
    assert CHECKED_IN.read_text(encoding="utf-8") == sdl(), hint


def test_enums_have_the_contracts_names() -> None:
    text = sdl()
    for enum in (IdentityStatus, SightingState):
        values = "\n".join(f"  {member.name}" for member in enum)
        assert f"enum {enum.__name__} {{\n{values}\n}}" in text


def test_export_writes_the_file(tmp_path: Path) -> None:
    main([str(tmp_path / "schema.graphql")])
    assert (tmp_path / "schema.graphql").read_text(encoding="utf-8") == sdl()
