"""Clusters as fixtures, imported by tests/conftest.py. Those of the session are shared: make a namespace there."""

from collections.abc import Iterator

import pytest
from tests.support.kubernetes import api, programs
from tests.support.kubernetes.api import ApiCluster
from tests.support.kubernetes.errors import ClusterError
from tests.support.shared import missing

NEEDED = {"api_cluster": api.PROGRAMS, "own_api_cluster": api.PROGRAMS}
"""Fixture to the programs that it starts."""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the programs that the chosen tests need before the first test runs, because a test's time is limited."""
    if session.config.option.collectonly:
        return
    used = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    wanted = dict.fromkeys(program for fixture in NEEDED if fixture in used for program in NEEDED[fixture])
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    say = reporter.write_line if reporter is not None else print
    try:
        programs.ensure(wanted, lambda line: say(f"kubernetes: {line}"))
    except ClusterError as error:
        say(f"kubernetes: {error}")  # each test that needs it says so, too


def _start() -> ApiCluster:
    for program in api.PROGRAMS:
        if programs.find(program) is None:
            missing(f"{program}, which could not be built (make cluster-programs says why)")
    return ApiCluster.start()


@pytest.fixture(scope="session")
def api_cluster() -> Iterator[ApiCluster]:
    """Give a Kubernetes API without nodes, shared."""
    cluster = _start()
    yield cluster
    cluster.close()


@pytest.fixture
def own_api_cluster() -> Iterator[ApiCluster]:
    """Give a Kubernetes API without nodes for tests that stop its programs."""
    cluster = _start()
    yield cluster
    cluster.close()
