"""From nothing to a name: chart installed, Camera applied, and a client outside the cluster receives the name."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.chart.installed import Installed
from tests.cluster import broken_pods
from tests.cluster.first_camera import LOGIN, READY_S, Story, say, served
from tests.e2e.subscriber import Subscriber
from tests.support.waiting import eventually, wait_until

pytestmark = [pytest.mark.timeout(1800), pytest.mark.usefixtures("helm")]

MIRANDA, BIDEN, STAGE = "lin-manuel-miranda", "joe-biden", "stage"
RECEIVED_S, GONE_S = 60, 60


@pytest.fixture(scope="module")
def story(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with served(tmp_path_factory.mktemp("rtsp")) as server:
        yield Story(installed, server)


def who(event: dict[str, Any]) -> str | None:
    """Return the name in an event."""
    named = event["identity"]["subject"]
    return named["name"] if named else None


async def test_a_subscriber_outside_receives_only_true_matches(story: Story) -> None:
    """It receives who is there, and never a Subject who is not."""
    begun = time.monotonic()
    story.site()
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
        await eventually(lambda: [e for e in client.events if who(e) == MIRANDA], RECEIVED_S, "Miranda is received")
        say(f"Miranda received outside the cluster after {time.monotonic() - begun:.1f} s")
        enough = len(client.events) + 30
        await eventually(lambda: len(client.events) >= enough, RECEIVED_S, "the clip is played again")
    except AssertionError as error:
        received = [
            (event["cursor"], event["identity"]["status"], event["identity"]["similarity"]) for event in client.events
        ]
        error.add_note(f"received over {client.connections} connections: {received}; refused {client.refused}")
        error.add_note(await asyncio.to_thread(story.seen, STAGE))
        raise
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
    assert {who(event) for event in client.events} == {MIRANDA, None}
    story.ready("site", "default")


def test_three_broken_cameras_say_each_what_is_wrong(story: Story) -> None:
    wrong = {"username": b"viewer", "password": b"wrong"}
    story.secret("wrong-login", **wrong)
    story.camera("no-secret", story.server.url("clip"), credentialsSecretRef={"name": "not-there"})
    story.camera("wrong-password", story.server.url("clip"), credentialsSecretRef={"name": "wrong-login"})
    story.camera("no-such-stream", "rtsp://192.0.2.1:554/nobody")
    broken = {"no-secret": "SecretNotFound", "wrong-password": "Unauthorized", "no-such-stream": "Unreachable"}
    try:
        for name, reason in broken.items():
            story.says(name, reason)
        for wide in ((), ("-o", "wide")):
            say(story.kubectl("get", "cameras,subjects,sites", *wide))
    finally:
        story.kubectl("delete", "camera", *broken)


def test_cameras_whose_pods_cannot_run_report_why(story: Story, tmp_path: Path) -> None:
    """Four Cameras, each with another fault; the reason stays."""
    story.site()
    with broken_pods.apart(story), broken_pods.shown(story, tmp_path) as shown:
        begun = time.monotonic()
        for name, spec in broken_pods.CAMERAS.items():
            story.camera(name, story.server.url("clip"), {"sampling": {"fps": 1}, **spec})
        for name, (reason, words) in broken_pods.MESSAGES.items():
            message = story.says(name, reason)
            say(f"{name} says {reason} after {time.monotonic() - begun:.1f} s: {message}")
            assert words in message
        for name in broken_pods.STARTED_AGAIN:
            wait_until(lambda n=name: broken_pods.ends(story, n) >= 3, READY_S, f"{name} has ended three times")  # type: ignore[misc]  # bound at once
        say(f"each process has ended three times after {time.monotonic() - begun:.1f} s")
        say(story.kubectl("get", "cameras,pods"))
        for name, (reason, _) in broken_pods.MESSAGES.items():
            reasons = shown(name)
            say(f"{name}: {', '.join(reasons)}")
            assert set(reasons[reasons.index(reason) :]) == {reason}, f"{name}: {reasons}"


SEEN = "SELECT count(*) FROM sightings WHERE camera_name = 'stage'"
CHILDREN = "deployments,replicasets,pods,configmaps,serviceaccounts,networkpolicies"


def test_a_deleted_camera_leaves_its_sightings_only(story: Story) -> None:
    """Its children are deleted with it."""

    def children() -> list[str]:
        found = story.kubectl("get", CHILDREN, "-l", f"vigil.dev/camera={STAGE}", "-o", "name")
        return [line for line in found.splitlines() if "/" in line]

    there, before = children(), int(story.release.sql(SEEN))
    assert len(there) >= 6, there
    story.kubectl("delete", "camera", STAGE)
    wait_until(lambda: not children(), GONE_S, "its children are gone")
    after = int(story.release.sql(SEEN))
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
        return {name: int(story.release.sql(ask + rows.format(MIRANDA))) for name, rows in OF_THE_SUBJECT.items()}

    before = counted()
    assert all(before.values()), before
    assert story.cluster.get("subject", MIRANDA, story.namespace)["metadata"]["finalizers"] == ["vigil.dev/erasure"]
    story.kubectl("delete", "subject", MIRANDA, "--timeout=60s")
    after = counted()
    say(f"rows before {before}, after {after}")
    assert not any(after.values()), after
    receipt = wait_until(lambda: erased(story), GONE_S, "the receipt is published as an event")
    say(f"receipt: {receipt}")
    assert "qdrant.vectors" in receipt


def erased(story: Story) -> str:
    """Return the note of the event Erased."""
    found = json.loads(story.kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
    return next((each["note"] for each in found if each["reason"] == "Erased"), "")
