from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.system import System
from tests.support.servers import OPEN_PACK, provide_pack


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Callable[..., System]]:
    """Make `vigil up`s that are gone after the test, whatever happens in it."""
    made: list[System] = []

    def make(pack: str = OPEN_PACK) -> System:
        provide_pack(pack)
        made.append(System(tmp_path / f"system-{len(made)}", pack))
        return made[-1]

    yield make
    for one in made:
        one.dispose()
