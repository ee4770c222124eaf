"""One release of the chart on a node, and what a person does with it from outside the cluster."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from tests.chart.installed import Installed
from tests.support.kubernetes.node import NodeCluster
from tests.support.servers import RtspServer, start_rtsp
from tests.support.shared import shared
from tests.support.waiting import wait_until

from vigil_cli.standalone.servers.go2rtc import Login

API = "vigil.dev/v1alpha1"
LOGIN = Login("viewer", "for-tests")
READY_S = 120


def say(text: str) -> None:
    """Print for a reader of the log (pytest -rP)."""
    print(text)  # noqa: T201 - what it is for


class Story:
    """One release, one namespace, one RTSP server outside the cluster."""

    def __init__(self, release: Installed, server: RtspServer) -> None:
        self.release = release
        self.cluster: NodeCluster = release.cluster
        self.namespace = release.namespace
        self.server = server

    def kubectl(self, *args: str, check: bool = True) -> str:
        """Run kubectl in the release's namespace."""
        done = self.cluster.kubectl("-n", self.namespace, *args, check=check, timeout_s=READY_S + 30)
        return done.stdout or done.stderr

    def apply(self, *documents: dict[str, Any]) -> None:
        """Apply manifests as a user does."""
        self.cluster.kubectl("-n", self.namespace, "apply", "-f", "-", input=yaml.safe_dump_all(documents))

    def secret(self, name: str, **values: bytes) -> None:
        """Make a Secret."""
        data = {key: base64.b64encode(value).decode() for key, value in values.items()}
        metadata = {"name": name, "labels": {"vigil.dev/readable-by": "Camera"}}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})

    def site(self) -> None:
        """Apply the Site of all its Cameras."""
        self.apply({"apiVersion": API, "kind": "Site", "metadata": {"name": "default"}, "spec": {"role": "Central"}})

    def camera(self, name: str, url: str, spec: dict[str, Any] | None = None, **source: Any) -> None:
        """Apply an RTSP Camera."""
        whole = {"siteRef": {"name": "default"}, "source": {"type": "RTSP", "url": url, **source}, **(spec or {})}
        self.apply({"apiVersion": API, "kind": "Camera", "metadata": {"name": name}, "spec": whole})

    def subject(self, name: str, display_name: str) -> None:
        """Apply a Subject whose photos of the shared material lie in Secrets, one each: a Secret holds 1 MiB."""
        named = []
        for number, photo in enumerate(sorted((shared("faces") / name).iterdir())):
            secret = f"{name}-{number}"
            self.kubectl("create", "secret", "generic", secret, f"--from-file=photo={photo}")
            self.kubectl("label", "secret", secret, "vigil.dev/readable-by=Subject")
            named.append({"name": f"photo-{number}", "secretKeyRef": {"name": secret, "key": "photo"}})
        spec = {"displayName": display_name, "consent": {"status": "Granted"}, "photos": named}
        self.apply({"apiVersion": API, "kind": "Subject", "metadata": {"name": name}, "spec": spec})

    def ready(self, kind: str, name: str) -> None:
        """Wait until a resource is Ready."""
        self.kubectl("wait", "--for=condition=Ready", f"{kind}/{name}", f"--timeout={READY_S}s")

    def condition(self, camera: str) -> dict[str, Any]:
        """Return a Camera's condition Ready; empty when it has none yet."""
        found = self.cluster.get("camera", camera, self.namespace).get("status", {}).get("conditions", [])
        return next((each for each in found if each["type"] == "Ready"), {})

    def says(self, camera: str, reason: str) -> str:
        """Wait until a Camera has a reason; give its words."""
        said: list[dict[str, Any]] = []

        def is_said() -> bool:
            said.append(self.condition(camera))
            return said[-1].get("reason") == reason

        wait_until(is_said, READY_S, f"{camera} is {reason}")
        return str(said[-1]["message"])

    def token(self) -> str:
        """Read the API's token as NOTES.txt describes."""
        return base64.b64decode(
            self.cluster.get("secret", "vigil-secrets", self.namespace)["data"]["api-token"]
        ).decode()

    def seen(self, camera: str) -> str:
        """Describe the way of a Camera's frames, for a failure."""
        by_identity = "SELECT identity, subject_name, count(*), min(similarity), max(similarity) FROM sightings"
        tables = (
            f"{by_identity} WHERE camera_name = '{camera}' GROUP BY 1, 2",
            "SELECT reason, message, count(*) FROM rejected_events GROUP BY 1, 2",
            "SELECT count(*), max(seq), count(published_at) FROM events",
        )
        parts = [f"{ask}\n{self.release.sql(ask)}" for ask in tables]
        parts += [self.kubectl("get", "camera", camera, "-o", "yaml", check=False)]
        for selector in (f"vigil.dev/camera={camera}", "app.kubernetes.io/component=identity"):
            parts += [self.kubectl("logs", "-l", selector, "--tail=60", check=False)]
        return "\n".join(parts)

    @property
    def api(self) -> str:
        """host:port of the API, as this machine reaches it."""
        return f"{self.cluster.service_ip('vigil-api', self.namespace)}:80"

    def ask(self, query: str) -> Any:
        """Ask GraphQL."""
        response = httpx.post(
            f"http://{self.api}/graphql",
            json={"query": query},
            headers={"Authorization": f"Bearer {self.token()}"},
            timeout=20,
            trust_env=False,
        ).json()
        assert "errors" not in response, response
        return response["data"]


@contextmanager
def served(folder: Path) -> Iterator[RtspServer]:
    """Serve the shared clip again and again, for who has the password."""
    server = start_rtsp(folder, {"clip": shared("video/short_hamilton_clip.mp4")}, LOGIN)
    try:
        yield server
    finally:
        server.running.kill()
