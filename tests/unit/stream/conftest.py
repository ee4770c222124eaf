"""Connections of journals that a test abandons, as a killed process does, are closed after the module.

Python 3.13 warns of each that is not.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module", autouse=True)
def closed_connections() -> Iterator[None]:
    made: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remembered(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        if options.get("check_same_thread") is False:  # a checkpoint's belongs to its thread, and is closed
            made.append(connection)
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", remembered)
        yield
    for connection in made:
        connection.close()
