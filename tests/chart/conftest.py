"""What the chart's tests run with: real Helm, kubeconform and Kubernetes' API."""

from pathlib import Path

import pytest
from tests.chart import gitops
from tests.chart.schemas import write_schemas
from tests.support.kubernetes import programs
from tests.support.kubernetes.errors import ClusterError
from tests.support.shared import ROOT, missing


def _found(program: str) -> Path:
    try:
        return programs.program(program)
    except ClusterError as error:
        missing(f"{program} ({error})")


@pytest.fixture(scope="session")
def helm() -> Path:
    return _found("helm")


@pytest.fixture(scope="session")
def kubeconform() -> Path:
    return _found("kubeconform")


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_schemas(tmp_path_factory.mktemp("schemas"), ROOT / "crds")


@pytest.fixture(scope="session")
def judges() -> gitops.Judges:
    return gitops.build()
