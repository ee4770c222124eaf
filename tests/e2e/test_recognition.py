"""A person on a real RTSP camera is recognised, one who is not there never is, and the others are unknown."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.e2e.subscriber import Subscriber
from tests.e2e.system import System, camera, subject
from tests.support.servers import ARCFACE_PACK, OPEN_PACK, RtspServer
from tests.support.shared import shared
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

CLIP_S = 275 / 29.97
PASSES = 3
MIRANDA = "lin-manuel-miranda"


def named(event: dict[str, Any]) -> str | None:
    who = event["identity"]["subject"]
    return who["name"] if who else None


def opened(events: list[dict[str, Any]], name: str) -> list[datetime]:
    """List when each sighting of a person was opened, each sighting once."""
    times = {event["sighting"]["id"]: event["sighting"]["openedAt"] for event in events if named(event) == name}
    return sorted(datetime.fromisoformat(text) for text in times.values())


def newest(events: list[dict[str, Any]]) -> datetime:
    return max(datetime.fromisoformat(event["sighting"]["openedAt"]) for event in events)


def passes(times: list[datetime]) -> set[int]:
    """Return the numbers of the passes of the clip in which a person was seen, counted from the first sighting.

    A pass may open several sightings, late ones too: she is there for 7 of 9 s, and the clip has cuts.
    """
    return {round((moment - times[0]).total_seconds() / CLIP_S) for moment in times}


@pytest.mark.parametrize("pack", [ARCFACE_PACK, OPEN_PACK])
async def test_each_pass_of_a_clip_is_recognised(
    pack: str, system: Callable[[str], System], rtsp: Callable[..., RtspServer]
) -> None:
    """A person who is not in the clip is never recognised."""
    server = rtsp({"clip": shared("video/short_hamilton_clip.mp4")})
    faces = shared("faces")
    vigil = system(pack)
    vigil.write("camera.yaml", camera("stage", "RTSP", server.url("clip")))
    vigil.write(
        "people.yaml",
        subject(MIRANDA, "Lin-Manuel Miranda", sorted((faces / MIRANDA).iterdir())),
        subject("joe-biden", "Joe Biden", sorted((faces / "joe-biden").iterdir())),
    )
    vigil.start()
    await eventually(lambda: vigil.enrolled() == {MIRANDA, "joe-biden"}, 60, "both are enrolled")
    client = Subscriber(vigil.subscription_url, vigil.token)
    listening = asyncio.create_task(client.run())
    try:
        first = (await eventually(lambda: opened(client.events, MIRANDA), 60, "Miranda is recognised"))[0]
        until = first + timedelta(seconds=CLIP_S * PASSES + CLIP_S / 2)
        await eventually(
            lambda: newest(client.events) > until, CLIP_S * (PASSES + 3), "the clip is played again and again"
        )
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    names = [named(event) for event in client.events]
    assert passes([moment for moment in opened(client.events, MIRANDA) if moment <= until]) == set(range(PASSES + 1))
    assert "joe-biden" not in names
    assert set(names) == {MIRANDA, None}
    unknown = {event["sighting"]["id"] for event in client.events if event["identity"]["status"] == "UNKNOWN"}
    assert len(unknown) >= PASSES
    assert vigil.stop() == 0
    report(pack, client.events)


def report(pack: str, events: list[dict[str, Any]]) -> None:
    """Print the figures that a reader of the log wants."""
    best: dict[str, float] = {}
    for event in events:
        if named(event) == MIRANDA and event["identity"]["similarity"]:
            best[event["sighting"]["id"]] = event["identity"]["similarity"]
    others = [event["identity"]["similarity"] or 0 for event in events if event["identity"]["status"] == "UNKNOWN"]
    print(  # noqa: T201 - shown by pytest -rP
        f"{pack}: {len(best)} sightings of Miranda, similarity {min(best.values()):.2f} to {max(best.values()):.2f}; "
        f"unknown at most {max(others):.2f}; {len(events)} events"
    )
