"""A manifest is taken as it was meant or refused with everything that is wrong with it."""

import datetime as dt
from copy import deepcopy
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil_contracts.analyses import ANALYSES, AnalysisName
from vigil_contracts.resources import Camera, Problem, Site, Subject, check
from vigil_contracts.resources.common import parse_duration

SHA = "0" * 64


def camera(**spec: Any) -> dict[str, Any]:
    source = {"type": "RTSP", "url": "rtsp://10.0.0.5:554/stream1"}
    body = {"source": source, **spec}
    return {"apiVersion": "vigil.dev/v1alpha1", "kind": "Camera", "metadata": {"name": "door"}, "spec": body}


def source(**fields: Any) -> dict[str, Any]:
    return camera(source={"type": "RTSP", "url": "rtsp://10.0.0.5/stream1", **fields})


def subject(**spec: Any) -> dict[str, Any]:
    photo = {"name": "front", "url": "https://example.org/a.jpg", "sha256": SHA}
    body = {"displayName": "Ada", "photos": [photo], "consent": {"status": "Granted"}, **spec}
    return {"apiVersion": "vigil.dev/v1alpha1", "kind": "Subject", "metadata": {"name": "ada"}, "spec": body}


def site(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "vigil.dev/v1alpha1", "kind": "Site", "metadata": {"name": "hq"}, "spec": spec}


def region(name: str) -> dict[str, Any]:
    return {"name": name, "polygon": [{"xPermille": x, "yPermille": y} for x, y in ((0, 0), (1000, 0), (0, 1000))]}


CREDENTIALS = "url holds a user or a password; put them into a Secret and name it in credentialsSecretRef"
TOO_SHORT = "sightings must be longer than nothing; leave it out to keep them as the Site, or the default, states"
ONE_REFERENCE = "a photo names exactly one of secretKeyRef, configMapKeyRef and url"
SCHEMES = (
    "url does not begin as its type asks (RTSP: rtsp:// or rtsps://; HTTPMJPEG: http:// or https://; USB: /dev/; "
    "WebSocket: ws:// or wss://; Socket: tcp://; File: file:)"
)

REFUSED: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"kind": "Kamera"}, [("kind", "'Kamera' is none of Vigil's kinds (Camera, Subject, Site)")]),
    ({**camera(), "apiVersion": "vigil.dev/v2"}, [("apiVersion", "'vigil.dev/v2' is not vigil.dev/v1alpha1")]),
    (camera(smapling={}), [("spec.smapling", "unknown field; did you mean sampling?")]),
    (source(url="rtsp://admin:secret@10.0.0.5/s"), [("spec.source.url", CREDENTIALS)]),
    (source(url="rtsp://admin@10.0.0.5/s"), [("spec.source.url", CREDENTIALS)]),
    (source(url="http://10.0.0.5/s"), [("spec.source.url", SCHEMES)]),
    (
        source(type="File", url="file:a.mp4", transport="UDP"),
        [("spec.source.transport", "transport is only for type RTSP; leave it out")],
    ),
    (source(loop=True), [("spec.source.loop", "loop is only for type File; leave it out")]),
    (
        source(type="USB", url="/dev/video0", credentialsSecretRef={"name": "s"}),
        [
            (
                "spec.source.credentialsSecretRef",
                "credentialsSecretRef has no meaning for type USB, Socket or File; leave it out",
            )
        ],
    ),
    (
        source(type="rtsp"),
        [
            (
                "spec.source.type",
                "input should be 'RTSP', 'HTTPMJPEG', 'USB', 'WebSocket', 'Socket' or 'File' (given: 'rtsp')",
            )
        ],
    ),
    (camera(sampling={"fps": 0}), [("spec.sampling.fps", "input should be greater than or equal to 1 (given: 0)")]),
    (camera(sampling={"fps": "5"}), [("spec.sampling.fps", "input should be a valid integer (given: '5')")]),
    (camera(suspend="yes"), [("spec.suspend", "input should be a valid boolean (given: 'yes')")]),
    (
        camera(analyses=["People"]),
        [("spec.analyses", "analyses: any analysis but Faces is not implemented yet; leave analyses out")],
    ),
    (
        camera(preview={"enabled": True}),
        [("spec.preview", "preview: the live preview is not implemented yet; leave preview out")],
    ),
    (
        camera(retention={"sightings": "0d"}),
        [
            (
                "spec.retention.sightings",
                TOO_SHORT,
            )
        ],
    ),
    (
        camera(detection={"regions": [region("a"), region("a")]}),
        [("spec.detection.regions", "two regions have the same name; rename one")],
    ),
    (
        camera(detection={"privacyMasks": [region("a"), region("a")]}),
        [("spec.detection.privacyMasks", "two privacyMasks have the same name; rename one")],
    ),
    (subject(photos=[{"name": "front"}]), [("spec.photos[0]", ONE_REFERENCE)]),
    (
        subject(photos=[{"name": "front", "url": "file:a.jpg"}]),
        [("spec.photos[0].sha256", "a photo with url needs the sha256 of its bytes")],
    ),
    (
        subject(access={"anything": 1}),
        [("spec.access", "access: a rule of who may be where is not implemented yet; leave access out")],
    ),
    (
        subject(siteSelector={}),
        [
            (
                "spec.siteSelector",
                "siteSelector: replication to chosen sites is not implemented yet; leave siteSelector out",
            )
        ],
    ),
    (
        subject(validity={"notBefore": "2026-02-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00Z"}),
        [("spec.validity.notBefore", "notBefore must lie before notAfter")],
    ),
    (
        subject(displayName="a\0", consent={"status": "Granted", "documentVersion": " "}),
        [
            (
                "spec.consent.documentVersion",
                (
                    "documentVersion begins or ends with a space, or shows nothing; remove the spaces, or leave "
                    "documentVersion out"
                ),
            ),
            (
                "spec.displayName",
                (
                    "displayName holds a character that cannot be shown as it is: a control character (such as NUL or "
                    "a line break), a change of direction, or the sign for an undecodable character; remove it"
                ),
            ),
        ],
    ),
    (subject(consent=None), [("spec.consent", "is required")]),
    (site(role="Edge"), [("spec.role", "role: the role Edge is not implemented yet; leave role out")]),
    (
        site(upstream={}),
        [("spec.upstream", "upstream is only for role Edge: a Central Site has none above it; leave upstream out")],
    ),
    (site(sync={}), [("spec.sync", "sync: synchronisation between sites is not implemented yet; leave sync out")]),
    (
        site(timezone="Europe/Berlln"),
        [("spec.timezone", "timezone is not in the IANA database; give a name such as Europe/Berlin or UTC")],
    ),
    (
        site(inference={"endpoints": [{"name": "a", "address": "t:1"}, {"name": "a", "address": "t:2"}]}),
        [("spec.inference.endpoints", "two endpoints have the same name; rename one")],
    ),
]


@pytest.mark.parametrize(("document", "expected"), REFUSED)
def test_a_wrong_manifest_is_refused_with_its_place_and_a_remedy(
    document: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    found = check(document)
    assert isinstance(found, list)
    assert [(problem.where, problem.message) for problem in found] == expected


@pytest.mark.parametrize("name", AnalysisName)
def test_a_camera_may_name_an_analysis_that_is_implemented(name: AnalysisName) -> None:
    """The rule of the Camera accepts the analyses that have models and a cost, and no other."""
    assert isinstance(check(camera(analyses=[name.value])), Camera) == (name in ANALYSES)


def test_all_errors_of_a_manifest_are_told_at_once() -> None:
    wrong = source(url="rtsp://a:b@h/x", loop=True, tranport="TCP")
    wrong["spec"]["suspend"] = "yes"
    found = check(wrong)
    assert isinstance(found, list)
    assert {problem.where for problem in found} == {
        "spec.source.url",
        "spec.source.loop",
        "spec.source.tranport",
        "spec.suspend",
    }
    assert len(found) == 4


def test_checking_leaves_the_document_as_it_was() -> None:
    wrong = camera(smapling={})
    before = deepcopy(wrong)
    check(wrong)
    assert wrong == before


ACCEPTED: list[tuple[dict[str, Any], type]] = [
    (camera(), Camera),
    (source(type="RTSP", transport="UDP", credentialsSecretRef={"name": "door"}), Camera),
    (source(type="HTTPMJPEG", url="https://h/video"), Camera),
    (source(type="USB", url="/dev/video0"), Camera),
    (source(type="WebSocket", url="ws://h/frames"), Camera),
    (source(type="Socket", url="tcp://h:9000"), Camera),
    (source(type="File", url="file:clip.mp4", loop=True), Camera),
    (source(url="rtsp://h/path?user=@home"), Camera),
    (camera(detection={"regions": [region("a"), region("b")]}, sampling={"fps": 12}, suspend=True), Camera),
    (subject(), Subject),
    (subject(photos=[{"name": "a", "secretKeyRef": {"name": "photos", "key": "a.jpg"}}]), Subject),
    (subject(validity={"notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-02-01T00:00:00Z"}), Subject),
    (site(), Site),
    (
        site(
            timezone="Europe/Berlin", location={"latitudeMicrodegrees": 52_520_000, "longitudeMicrodegrees": 13_405_000}
        ),
        Site,
    ),
]


@pytest.mark.parametrize(("document", "kind"), ACCEPTED)
def test_a_valid_manifest_survives_reading_and_writing(document: dict[str, Any], kind: type) -> None:
    """A valid manifest is accepted, and has the same content when it is written again."""
    resource = check(document)
    assert isinstance(resource, kind)
    assert check(resource.model_dump(mode="json", by_alias=True, exclude_none=True)) == resource  # type: ignore[union-attr]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(spec=JSON, metadata=JSON, kind=st.sampled_from(["Camera", "Subject", "Site"]))
def test_any_manifest_gives_a_resource_or_problems(spec: Any, metadata: Any, kind: str) -> None:
    """Whatever a manifest contains, reading it returns a resource or problems and never raises."""
    found = check({"apiVersion": "vigil.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
    assert isinstance(found, Camera | Subject | Site) or (
        found and all(isinstance(problem, Problem) for problem in found)
    )


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("1h30m", 5400), ("30d", 30 * 86400), ("1d1s", 86401)])
def test_a_duration_means_what_it_says(text: str, seconds: int) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "m5", "1s1h", "-1s", "1.5h"])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_keys_that_yaml_does_not_read_as_text_are_text() -> None:
    manifest = {**camera(), "metadata": {"name": "door", "labels": {dt.date(2026, 5, 1): "installed"}}}
    found = check(manifest)
    assert isinstance(found, Camera)
    assert found.metadata.labels == {"2026-05-01": "installed"}


def test_a_manifest_that_contains_itself_is_a_problem() -> None:
    """A YAML alias to its own parent is reported like any other problem."""
    manifest = camera()
    manifest["spec"]["again"] = manifest
    (problem,) = cast("list[Problem]", check(manifest))
    assert "holds itself" in problem.message


def test_a_duration_longer_than_any_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than a duration can be"):
        parse_duration("99999999999d")
