"""Addresses are shown without logins, tokens and signatures, wherever in them they are."""

import datetime as dt
import json
import logging
import sys

import pytest

from vigil_contracts.addresses import hide_in, hide_secrets, placeholders, shown_address
from vigil_contracts.conditions import Condition, ConditionStatus, SourceReason
from vigil_contracts.events import CameraHeartbeat, CameraRef
from vigil_contracts.events.heartbeat import CameraState
from vigil_contracts.registry import PhotoReason, PhotoResult
from vigil_contracts.resources import check
from vigil_contracts.resources.source import CameraSource
from vigil_runtime.logs import ConsoleFormatter, JsonFormatter

SHOWN = [
    ("rtsp://10.0.0.5:554/a", "rtsp://10.0.0.5:554/a"),
    ("rtsp://h:554/a?user=SECRET&password=SECRET", "rtsp://h:554/a?…"),
    ("http://h/a?user=SECRET;password=SECRET", "http://h/a?…"),
    ("http://h/a?SECRET", "http://h/a?…"),
    ("http://h?SECRET", "http://h?…"),
    ("http://h/a?password%3DSECRET", "http://h/a?…"),
    ("http://h/a%3Fpassword%3DSECRET", "http://h/a%3Fpassword%3D…"),
    ("http://h/a?b?c#SECRET", "http://h/a?…"),
    ("http://h/a#SECRET", "http://h/a#…"),
    ("http://h/a?U0VDUkVU=SECRET==", "http://h/a?…"),
    ("http://h/a?next=http://u:SECRET%40x", "http://h/a?…"),
    ("http://h/a?mail=SECRET@b", "http://…"),
    ("RTSP://u:SECRET@h/1", "RTSP://…@h/1"),
    ("rtsp://SECRET@h/1", "rtsp://…@h/1"),
    ("rtsp://u:SECRET@[2001:db8::5]:554/x", "rtsp://…@[2001:db8::5]:554/x"),
    ("rtsp://[2001:db8::5%25eth0]:554/x?t=SECRET", "rtsp://[2001:db8::5%25eth0]:554/x?…"),
    ("rtsp://u:SECRET/SECRET@h/1", "rtsp://…@h/1"),
    ("rtsp://u:12/SECRET@h/1", "rtsp://…/h/1"),
    ("rtsp://u:SECRET?SECRET@h/1", "rtsp://…"),
    ("rtsp://u:SECRET#SECRET@h/1", "rtsp://…"),
    ("rtsp://u:SECRET@SECRET@h/1", "rtsp://…@h/1"),
    ("rtsp://u:SECRET SECRET@h/1", "rtsp://…@h/1"),
    ("rtsp://h:SECRET/1", "rtsp://…/1"),
    ("rtsp://h/user=admin_password=SECRET_channel=1_stream=0.sdp?real_stream", "rtsp://h/user=…?…"),
    ("http://h/a;session=SECRET/b", "http://h/a;…/b"),
    ("http://h/a&user=x&password=SECRET", "http://h/a&…"),
    ("http://h/user:SECRET/b", "http://h/user:…/b"),
    ("ws://h:81/?token=SECRET", "ws://h:81/?…"),
    ("wss://h/a%3Btoken%3DSECRET/b", "wss://h/a%3B…/b"),
    ("tcp://h:9000?SECRET", "tcp://h:9000?…"),
    ("http://h\\SECRET", "http://h\\…"),
    ("nats://u:SECRET@bus:4222", "nats://…@bus:4222"),
    ("https://b.example/k/p.jpg?X-Amz-Credential=SECRET&X-Amz-Signature=SECRET", "https://b.example/k/p.jpg?…"),
    ("rtsp://h/{token}/1?user={username}", "rtsp://h/{token}/1?…"),
    ("file:a?b=c.mp4", "file:a?b=c.mp4"),
    ("file:///a/b;c@d.mp4", "file:///a/b;c@d.mp4"),
    ("/dev/video0", "/dev/video0"),
    ("", ""),
]


@pytest.mark.parametrize(("address", "shown"), SHOWN)
def test_secret_in_query(address: str, shown: str) -> None:
    """The case secret-in-query, with the other places in which an address may hold a secret."""
    assert shown_address(address) == shown
    assert shown_address(shown) == shown, "hiding twice changes nothing"
    assert len(shown) <= max(len(address), 8)


@pytest.mark.parametrize("address", [address for address, _ in SHOWN if "SECRET" in address])
@pytest.mark.parametrize(
    "text", ["{}", "cannot open {}", "'{}' is refused", "({}), or {}.", '{{"url": "{}", "id": "a@b"}}']
)
def test_texts_show_no_secret_of_their_addresses(address: str, text: str) -> None:
    told = hide_secrets(text.format(address, address))
    assert "SECRET" not in told
    if text.startswith("{{") and "\\" not in address:
        assert json.loads(told)["id"] == "a@b"


def test_texts_keep_what_is_no_secret() -> None:
    for text in (
        "rtsp://10.0.0.5/1 did not answer within 10 s; check address, port and network",
        "identity's registry at http://127.0.0.1:9: refused",
        "use 3:4 and a@b; 5 % of //x",
    ):
        assert hide_secrets(text) == text
    assert hide_secrets("see rtsp%3A%2F%2Fu%3ASECRET%40h/1 now") == "see rtsp%3A%2F%2F… now"


MESSAGE = "cannot open http://h/a?token=SECRET: refused"


def test_what_is_published_shows_no_secret() -> None:
    """Whatever a program, or an older version of one, puts into a message."""
    now = dt.datetime.now(dt.UTC)
    beat = CameraHeartbeat(
        site="s",
        camera=CameraRef(namespace="default", name="c"),
        session_id="1",
        state=CameraState.RECONNECTING,
        reason=SourceReason.FAILED,
        message=MESSAGE,
        fitness_message=MESSAGE,
        inference_trouble=MESSAGE,
        since=now,
    )
    condition = Condition(
        type="Ready", status=ConditionStatus.FALSE, reason="Failed", message=MESSAGE, last_transition_time=now
    )
    photo = PhotoResult(name="p", accepted=False, reason=PhotoReason.NOT_FOUND, message=MESSAGE)
    for one in (beat, condition, photo):
        assert "SECRET" not in one.model_dump_json()
        assert "http://h/a?…: refused" in one.model_dump_json()
    annotated = {
        "metadata": {"annotations": {"last": json.dumps({"url": "http://h/a?SECRET", "x": 1})}},
        "n": [1, None],
    }
    hidden = hide_in(annotated)
    assert json.loads(hidden["metadata"]["annotations"]["last"]) == {"url": "http://h/a?…", "x": 1}
    assert hidden["n"] == [1, None]


def test_logs_show_no_secret() -> None:
    """In the event, in fields of any depth and type, and in exceptions."""
    try:
        int("http://u:SECRET@h/a?token=SECRET")
    except ValueError:
        caught = sys.exc_info()
    fields = {"url": "ws://h?SECRET", "error": ValueError(MESSAGE), "deep": [{"at": "rtsp://h/a?SECRET"}], "n": 5}
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "failed: %s", (MESSAGE,), caught)
    record.fields = fields
    line = json.loads(JsonFormatter("stream", {}).format(record))
    assert "SECRET" not in json.dumps(line)
    assert line["event"] == "failed: cannot open http://h/a?…: refused"
    assert line["n"] == 5
    console = ConsoleFormatter("stream", {}).format(record)
    assert "SECRET" not in console
    assert "url=ws://h?… " in console


def test_a_refused_manifest_shows_no_secret() -> None:
    document = {
        "apiVersion": "vigil.dev/v1alpha1",
        "kind": "Camera",
        "metadata": {"name": "a"},
        "spec": {
            "source": {"type": "http://h/a?SECRET", "url": ["rtsp://u:SECRET@h"], "transport": "rtsp://u:SECRET@h"}
        },
    }
    problems = check(document)
    assert isinstance(problems, list)
    assert problems
    assert all("SECRET" not in problem.message for problem in problems)


def test_the_keys_that_a_source_takes_from_its_secret() -> None:
    def source(url: str) -> CameraSource:
        return CameraSource.model_validate(
            {"type": "HTTPMJPEG", "url": url, "credentialsSecretRef": {"name": "door"}}, by_alias=True
        )

    assert source("http://h/1").required_keys == ["username", "password"]
    placed = source("http://h/{token}/1?u={username}&p={password}&t={token}&x={}")
    assert placed.required_keys == placed.secret_keys == ["token", "username", "password"]
    assert source("http://h/?t={my-token.1}").secret_keys == ["my-token.1", "username", "password"]
    assert placeholders("http://h/%7Btoken%7D") == []
