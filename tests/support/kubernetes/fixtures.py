"""Clusters as fixtures, imported by tests/conftest.py. Those that are shared: make a namespace there.

Programs that a chosen test needs are built before the first test runs, because the time of a test is limited and
Kubernetes takes minutes to build, once.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from tests.support.kubernetes import api, kwok, node, programs
from tests.support.kubernetes.api import ApiCluster
from tests.support.kubernetes.cluster import Cluster
from tests.support.kubernetes.errors import ClusterError, NotHereError
from tests.support.kubernetes.kwok import KwokCluster
from tests.support.kubernetes.node import NodeCluster
from tests.support.shared import missing

NEEDED = {
    "api_cluster": api.PROGRAMS,
    "own_api_cluster": api.PROGRAMS,
    "node_cluster": node.PROGRAMS,
    "own_node_cluster": node.PROGRAMS,
    "kwok_cluster": kwok.PROGRAMS,
    "helm": ("helm",),
    "kubeconform": ("kubeconform",),
}
"""Fixture to the programs that it starts."""
_failed: dict[str, str] = {}
"""Fixture to why its programs could not be built."""
AnyCluster = TypeVar("AnyCluster", bound=Cluster)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what the chosen tests need."""
    if session.config.option.collectonly:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    report = reporter.write_line if reporter is not None else print
    used = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    for fixture in used & NEEDED.keys():
        try:
            programs.ensure(NEEDED[fixture], lambda line: report(f"kubernetes: {line}"))
        except ClusterError as error:
            _failed[fixture] = str(error)


def _check(fixture: str) -> None:
    if fixture in _failed:
        missing(f"the programs of a Kubernetes ({_failed[fixture]})")


def _started(fixture: str, start: Callable[[], AnyCluster]) -> Iterator[AnyCluster]:
    _check(fixture)
    try:
        cluster = start()
    except NotHereError as error:
        missing(str(error))
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="session")
def helm() -> Path:
    """Return the program."""
    _check("helm")
    return Path(programs.program("helm"))


@pytest.fixture(scope="session")
def kubeconform() -> Path:
    """Return the program."""
    _check("kubeconform")
    return Path(programs.program("kubeconform"))


@pytest.fixture(scope="session")
def api_cluster() -> Iterator[ApiCluster]:
    """Return a Kubernetes API without nodes, shared."""
    yield from _started("api_cluster", ApiCluster.start)


@pytest.fixture
def own_api_cluster() -> Iterator[ApiCluster]:
    """Return a Kubernetes API without nodes for tests that stop its programs."""
    yield from _started("own_api_cluster", ApiCluster.start)


@pytest.fixture(scope="module")
def node_cluster() -> Iterator[NodeCluster]:
    """Return a whole Kubernetes of one node, shared; skipped by name where there is no root or a package is missing.

    Of a module, not of the session: with all that runs in it, it would take a quarter of a core from all tests after.
    """
    yield from _started("node_cluster", NodeCluster.start)


@pytest.fixture
def own_node_cluster() -> Iterator[NodeCluster]:
    """Return a whole Kubernetes of one node for tests that cut it off or stop its programs."""
    yield from _started("own_node_cluster", NodeCluster.start)


@pytest.fixture
def kwok_cluster() -> Iterator[KwokCluster]:
    """Return a Kubernetes with pretended nodes, none at first: `kwok_cluster.add_nodes(10)`."""
    yield from _started("kwok_cluster", KwokCluster.start)
