"""Fixtures of the chart's tests, beside real Helm, kubeconform and Kubernetes' API."""

from pathlib import Path

import pytest
from tests.chart import gitops
from tests.chart.schemas import write_schemas
from tests.support.shared import ROOT


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_schemas(tmp_path_factory.mktemp("schemas"), ROOT / "crds")


@pytest.fixture(scope="session")
def health_checks() -> gitops.HealthChecks:
    return gitops.build()
