"""Servers that fail on demand."""

from collections.abc import Iterator

import pytest
from tests.support.faulty_triton import FaultyTriton


@pytest.fixture
def server() -> Iterator[FaultyTriton]:
    faulty = FaultyTriton()
    yield faulty
    faulty.stop()


@pytest.fixture
def spare() -> Iterator[FaultyTriton]:
    faulty = FaultyTriton()
    yield faulty
    faulty.stop()
