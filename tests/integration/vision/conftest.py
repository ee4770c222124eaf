"""Clients of the shared Triton servers, and real faces."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.servers import ARCFACE_PACK, OPEN_PACK, TritonServer
from tests.support.shared import shared

from vigil_vision.faces.models import TritonFaceModels
from vigil_vision.triton import TritonClient


@pytest.fixture(scope="session")
def faces() -> Path:
    return shared("faces")


@pytest.fixture(scope="session", params=[OPEN_PACK, ARCFACE_PACK])
def server(request: pytest.FixtureRequest) -> TritonServer:
    """One pack after the other; a server is started only when its turn has come."""
    name = "open_triton" if request.param == OPEN_PACK else "arcface_triton"
    server: TritonServer = request.getfixturevalue(name)
    return server


@pytest.fixture
def models(server: TritonServer) -> Iterator[TritonFaceModels]:
    with closing(TritonFaceModels(TritonClient([server.address], deadline_s=20))) as made:
        yield made
