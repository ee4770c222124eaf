"""From nothing to a name: chart installed, Camera applied, and somebody outside the cluster hears who was there."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.chart.installed import Installed
from tests.e2e.subscriber import Subscriber
from tests.support.kubernetes.node import NodeCluster
from tests.support.servers import RtspServer, start_rtsp
from tests.support.shared import shared
from tests.support.waiting import eventually, wait_until

from vigil_cli.standalone.servers.go2rtc import Login

pytestmark = [pytest.mark.timeout(1800), pytest.mark.usefixtures("helm")]

API = "vigil.dev/v1alpha1"
MIRANDA, BIDEN, STAGE = "lin-manuel-miranda", "joe-biden", "stage"
LOGIN = Login("viewer", "for-tests")
READY_S, HEARD_S, GONE_S = 120, 60, 60


def say(text: str) -> None:
    """Tell a reader of the log (pytest -rP)."""
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
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})

    def camera(self, name: str, url: str, **source: Any) -> None:
        """Apply an RTSP Camera."""
        spec = {"siteRef": {"name": "default"}, "source": {"type": "RTSP", "url": url, **source}}
        self.apply({"apiVersion": API, "kind": "Camera", "metadata": {"name": name}, "spec": spec})

    def subject(self, name: str, display_name: str) -> None:
        """Apply a Subject whose photos of the shared material lie in Secrets, one each: a Secret holds 1 MiB."""
        named = []
        for number, photo in enumerate(sorted((shared("faces") / name).iterdir())):
            secret = f"{name}-{number}"
            self.kubectl("create", "secret", "generic", secret, f"--from-file=photo={photo}")
            named.append({"name": f"photo-{number}", "secretKeyRef": {"name": secret, "key": "photo"}})
        spec = {"displayName": display_name, "consent": {"status": "Granted"}, "photos": named}
        self.apply({"apiVersion": API, "kind": "Subject", "metadata": {"name": name}, "spec": spec})

    def ready(self, kind: str, name: str) -> None:
        """Wait until a resource is Ready."""
        self.kubectl("wait", "--for=condition=Ready", f"{kind}/{name}", f"--timeout={READY_S}s")

    def reason(self, camera: str) -> str:
        """Give the reason of a Camera's Ready."""
        found = self.cluster.get("camera", camera, self.namespace).get("status", {}).get("conditions", [])
        return next((each["reason"] for each in found if each["type"] == "Ready"), "")

    def token(self) -> str:
        """Read the API's token as NOTES.txt tells."""
        return base64.b64decode(
            self.cluster.get("secret", "vigil-secrets", self.namespace)["data"]["api-token"]
        ).decode()

    @property
    def api(self) -> str:
        """host:port of the API, as this machine reaches it."""
        return f"{self.cluster.service_ip('vigil-api', self.namespace)}:80"

    def ask(self, query: str) -> Any:
        """Ask GraphQL."""
        answer = httpx.post(
            f"http://{self.api}/graphql",
            json={"query": query},
            headers={"Authorization": f"Bearer {self.token()}"},
            timeout=20,
            trust_env=False,
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def sql(self, statement: str) -> str:
        """Ask the bundled Postgres inside its pod."""
        return self.kubectl(
            "exec",
            "vigil-postgres-0",
            "--",
            "sh",
            "-c",
            f'psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -Atc "{statement}"',
        ).strip()


@pytest.fixture(scope="module")
def story(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with served(tmp_path_factory.mktemp("rtsp")) as server:
        yield Story(installed, server)


@contextmanager
def served(folder: Path) -> Iterator[RtspServer]:
    """Serve the shared clip again and again, for who has the password."""
    server = start_rtsp(folder, {"clip": shared("video/short_hamilton_clip.mp4")}, LOGIN)
    try:
        yield server
    finally:
        server.running.kill()


def who(event: dict[str, Any]) -> str | None:
    """Give the name of whom an event tells."""
    named = event["identity"]["subject"]
    return named["name"] if named else None


async def test_somebody_outside_the_cluster_hears_who_is_there_and_never_who_is_not(story: Story) -> None:
    begun = time.monotonic()
    story.apply({"apiVersion": API, "kind": "Site", "metadata": {"name": "default"}, "spec": {"role": "Central"}})
    story.subject(MIRANDA, "Lin-Manuel Miranda")
    story.subject(BIDEN, "Joe Biden")
    story.secret("stage-login", username=LOGIN.username.encode(), password=LOGIN.password.encode())
    story.camera(STAGE, story.server.url("clip"), credentialsSecretRef={"name": "stage-login"})
    client = Subscriber(f"ws://{story.api}/graphql", story.token())
    listening = asyncio.create_task(client.run())
    try:
        await asyncio.to_thread(story.ready, "camera", STAGE)
        say(f"Camera Ready {time.monotonic() - begun:.1f} s after the first apply")
        for name in (MIRANDA, BIDEN):
            await asyncio.to_thread(story.ready, "subject", name)
        say(f"both Subjects Ready after {time.monotonic() - begun:.1f} s")
        await eventually(lambda: [e for e in client.heard if who(e) == MIRANDA], HEARD_S, "Miranda is heard")
        say(f"Miranda heard outside the cluster after {time.monotonic() - begun:.1f} s")
        enough = len(client.heard) + 30
        await eventually(lambda: len(client.heard) >= enough, HEARD_S, "the clip is played again")
    finally:
        listening.cancel()
    assert {who(event) for event in client.heard} == {MIRANDA, None}
    story.ready("site", "default")


def test_three_broken_cameras_say_each_what_is_wrong(story: Story) -> None:
    wrong = {"username": b"viewer", "password": b"wrong"}
    story.secret("wrong-login", **wrong)
    story.camera("no-secret", story.server.url("clip"), credentialsSecretRef={"name": "not-there"})
    story.camera("wrong-password", story.server.url("clip"), credentialsSecretRef={"name": "wrong-login"})
    story.camera("no-such-stream", "rtsp://192.0.2.1:554/nobody")
    broken = {"no-secret": {"SecretNotFound"}, "wrong-password": {"Unauthorized"}, "no-such-stream": {"Unreachable"}}
    try:
        for name, reasons in broken.items():
            wait_until(lambda n=name, r=reasons: story.reason(n) in r, READY_S, f"{name} says {reasons}")  # type: ignore[misc]  # bound at once
        for wide in ((), ("-o", "wide")):
            say(story.kubectl("get", "cameras,subjects,sites", *wide))
    finally:
        story.kubectl("delete", "camera", *broken)


SEEN = "SELECT count(*) FROM sightings WHERE camera_name = 'stage'"
CHILDREN = "deployments,replicasets,pods,configmaps,serviceaccounts,networkpolicies"


def test_a_deleted_camera_takes_its_children_along_and_leaves_its_sightings(story: Story) -> None:
    def children() -> list[str]:
        found = story.kubectl("get", CHILDREN, "-l", f"vigil.dev/camera={STAGE}", "-o", "name")
        return [line for line in found.splitlines() if "/" in line]

    there, before = children(), int(story.sql(SEEN))
    assert len(there) >= 6, there
    story.kubectl("delete", "camera", STAGE)
    wait_until(lambda: not children(), GONE_S, "its children are gone")
    after = int(story.sql(SEEN))
    say(f"{len(there)} children gone; sightings of {STAGE} before {before}, after {after}")
    assert after >= before > 0


OF_THE_SUBJECT = {
    "subjects": "subjects WHERE name = '{}'",
    "photos": "subject_photos p JOIN subjects s ON s.id = p.subject_id WHERE s.name = '{}'",
    "embeddings": "subject_embeddings e JOIN subjects s ON s.id = e.subject_id WHERE s.name = '{}'",
    "sightings": "sightings WHERE subject_name = '{}'",
    "events": "events WHERE payload::text LIKE '%{}%'",
}


def test_a_deleted_subject_is_erased_and_leaves_a_receipt(story: Story) -> None:
    def counted() -> dict[str, int]:
        ask = "SELECT count(*) FROM "
        return {name: int(story.sql(ask + rows.format(MIRANDA))) for name, rows in OF_THE_SUBJECT.items()}

    before = counted()
    assert all(before.values()), before
    assert story.cluster.get("subject", MIRANDA, story.namespace)["metadata"]["finalizers"] == ["vigil.dev/erasure"]
    story.kubectl("delete", "subject", MIRANDA, "--timeout=60s")
    after = counted()
    say(f"rows before {before}, after {after}")
    assert not any(after.values()), after
    receipt = wait_until(lambda: erased(story), GONE_S, "the receipt is told as an event")
    say(f"receipt: {receipt}")
    assert "qdrant.vectors" in receipt


def erased(story: Story) -> str:
    """Give what the event Erased says."""
    found = json.loads(story.kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
    return next((each["note"] for each in found if each["reason"] == "Erased"), "")
