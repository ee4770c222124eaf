"""The health of a resource by the code of Flux and Argo CD: kstatus, and a Lua script in gopher-lua."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
from tests.support.shared import ROOT, missing

from vigil_cli.standalone.servers.go2rtc import cache_folder
from vigil_cli.standalone.servers.go_build import go_build
from vigil_cli.supervisor.spec import StartError

SOURCE = Path(__file__).parent / "health"
HEALTH = ROOT / "charts" / "gitops" / "argocd" / "health.lua"
BUILD_S = 240.0


@dataclass(frozen=True)
class Health:
    """The status by kstatus, and that by Argo CD with its message."""

    kstatus: str
    argocd: str
    message: str


@dataclass(frozen=True)
class HealthChecks:
    """The built program."""

    program: Path

    def check(self, resource: dict[str, Any], script: Path = HEALTH) -> Health:
        """Return the health of one resource."""
        done = subprocess.run(
            [self.program, script],
            input=json.dumps([resource]),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)[0]
        return Health(answer["kstatus"], answer["argocd"], answer["argocdMessage"])


def build() -> HealthChecks:
    """Build the program once into the user's cache, or skip by name."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(SOURCE.iterdir()))).hexdigest()[:12]
    target = cache_folder() / "kubernetes" / f"gitops-{digest}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(target.with_suffix(".lock"), timeout=BUILD_S):
        if not target.exists():
            partial = target.with_suffix(".partial")
            try:
                go_build("the health checks of GitOps", ".", SOURCE, partial, BUILD_S)
            except StartError as error:
                missing(str(error))
            partial.replace(target)
    return HealthChecks(target)
