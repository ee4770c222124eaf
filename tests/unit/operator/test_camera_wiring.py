"""The connections of a Camera, or the problem that prevents them: a table of surroundings."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.unit.operator.builders import cache, camera_object, secret, settings

from vigil_contracts.conditions import CameraReason
from vigil_contracts.resources import Camera
from vigil_operator.kube.kinds import Kind, Object
from vigil_operator.reconcile.camera.conditions import Problem
from vigil_operator.reconcile.camera.wiring import Resolved, parse, resolve
from vigil_operator.settings import Settings

BUS = secret("vigil-bus", readable_by=None, token="t")
HALL: dict[str, Any] = {"bus": {"credentialsSecretRef": {"name": "hall-bus"}}}
LOGIN = {"credentialsSecretRef": {"name": "login"}}
TOKEN = {**LOGIN, "url": "rtsp://10.0.0.5/{token}/1"}
USB = {"type": "USB", "url": "/dev/video0"}


def site_object(name: str = "default", **spec: Any) -> Object:
    return {"metadata": {"name": name, "namespace": "default", "resourceVersion": "1"}, "spec": spec}


@dataclass
class Around:
    camera: Object = field(default_factory=camera_object)
    secrets: tuple[Object, ...] = (BUS,)
    sites: tuple[Object, ...] = ()
    others: tuple[Object, ...] = ()
    settings: Settings = field(default_factory=settings)

    def resolve(self) -> Resolved:
        seen = cache(self.camera, *self.others, given=self.settings, secrets=self.secrets)
        for one in self.sites:
            seen.put(Kind.SITE, one)
        found = parse(self.camera)
        assert isinstance(found, Camera), found
        return resolve(found, self.camera, seen, self.settings)


def older(name: str, **spec: Any) -> Object:
    obj = camera_object(name, **spec)
    obj["metadata"]["creationTimestamp"] = "2026-04-01T00:00:00Z"
    return obj


def named_site(name: str, **spec: Any) -> Object:
    return camera_object(siteRef={"name": name}, **spec)


TABLE: dict[str, tuple[Around, str | None, str]] = {
    "all there": (Around(), None, ""),
    "no bus secret": (
        Around(secrets=()),
        "BusCredentialsMissing",
        "kubectl create secret generic vigil-bus -n default",
    ),
    "bus secret empty": (Around(secrets=(secret("vigil-bus", token=""),)), "BusCredentialsMissing", "missing or empty"),
    "no login": (Around(camera_object(source=LOGIN)), "SecretNotFound", "no Secret login in the namespace default"),
    "login lacks": (
        Around(camera_object(source=LOGIN), (BUS, secret("login", user="a", password="b"))),
        "SecretKeyMissing",
        "username; it has the keys: password, user",
    ),
    "login empty": (
        Around(camera_object(source=LOGIN), (BUS, secret("login", username="a", password=""))),
        "SecretKeyMissing",
        "leaves empty, password",
    ),
    "login not readable": (
        Around(camera_object(source=LOGIN), (BUS, secret("login", readable_by=None))),
        "SecretNotReadable",
        "kubectl label secret login -n default --overwrite vigil.dev/readable-by=Camera",
    ),
    "login of photos": (
        Around(camera_object(source=LOGIN), (BUS, secret("login", readable_by="Subject", username="a", password="b"))),
        "SecretNotReadable",
        "does not permit that a Camera names it",
    ),
    "the bus's own Secret as a login": (
        Around(camera_object(source={**TOKEN, "credentialsSecretRef": {"name": "vigil-bus"}})),
        "SecretNotReadable",
        "the Secret vigil-bus",
    ),
    "a site's bus not readable": (
        Around(named_site("default"), (secret("hall-bus", readable_by="Camera", token="x"),), (site_object(**HALL),)),
        "SecretNotReadable",
        "vigil.dev/readable-by=Site",
    ),
    "token lacks": (
        Around(camera_object(source=TOKEN), (BUS, secret("login", username="a", password="b"))),
        "SecretKeyMissing",
        "leaves empty, token; it has the keys: password, username",
    ),
    "token there": (Around(camera_object(source=TOKEN), (BUS, secret("login", token="a"))), None, ""),
    "login there": (Around(camera_object(source=LOGIN), (BUS, secret("login", username="a", password="b"))), None, ""),
    "site missing": (Around(named_site("default")), "SiteNotFound", "no Site default"),
    "site there": (Around(named_site("default"), sites=(site_object(),)), None, ""),
    "site not served": (
        Around(named_site("far"), sites=(site_object("far"),)),
        "SiteNotServed",
        "serves the Site default",
    ),
    "site invalid": (Around(named_site("default"), sites=(site_object(timezone=5),)), None, ""),
    "kept too long": (
        Around(camera_object(retention={"sightings": "8d"}), sites=(site_object(retention={"sightings": "7d"}),)),
        "RetentionLongerThanSite",
        "8d is longer than the 7d",
    ),
    "usb without plugin": (Around(camera_object(source=USB)), "PodUnschedulable", "operator.usbResources"),
    "usb": (Around(camera_object(source=USB), settings=settings(usb_resources={"/dev/video0": "x/y"})), None, ""),
    "usb taken": (
        Around(camera_object(source=USB), others=(older("first", source=USB),)),
        "DeviceInUse",
        "Camera default/first",
    ),
    "usb taken by a suspended one": (
        Around(
            camera_object(source=USB),
            others=(older("first", source=USB, suspend=True),),
            settings=settings(usb_resources={"/dev/video0": "x/y"}),
        ),
        None,
        "",
    ),
    "usb on another node": (
        Around(
            camera_object(source=USB, scheduling={"nodeSelector": {"node": "b"}}),
            others=(older("first", source=USB, scheduling={"nodeSelector": {"node": "a"}}),),
            settings=settings(usb_resources={"/dev/video0": "x/y"}),
        ),
        None,
        "",
    ),
}


@pytest.mark.parametrize("name", ["site missing", "site not served"])
def test_the_message_asks_for_no_immutable_change(name: str) -> None:
    """SiteRef cannot be changed, so the message proposes another Camera."""
    problem = TABLE[name][0].resolve().problem
    assert problem is not None
    assert "delete the Camera and create it again with" in problem.message
    assert "spec.siteRef" not in problem.message


@pytest.mark.parametrize("name", TABLE)
def test_surroundings_give_this_problem(name: str) -> None:
    around, reason, words = TABLE[name]
    problem = around.resolve().problem
    assert (problem.reason if problem else None) == reason
    assert words in (problem.message if problem else "")


def test_a_site_names_its_own_bus_and_inference() -> None:
    bus = {"url": "tls://hall:4443", "credentialsSecretRef": {"name": "hall-bus"}}
    inference = {"endpoints": [{"name": "gpu", "address": "gpu:8001"}, {"name": "cpu", "address": "cpu:8001"}]}
    hall = site_object(bus=bus, inference=inference)
    wiring = (
        Around(named_site("default"), (secret("hall-bus", readable_by="Site", token="x"),), (hall,)).resolve().wiring
    )
    assert (wiring.nats_url, wiring.bus_secret) == ("tls://hall:4443", "hall-bus")
    assert wiring.triton_urls == ("gpu:8001", "cpu:8001")


def test_the_own_token_is_sent_to_no_bus_of_a_site() -> None:
    hall = site_object(bus={"url": "nats://elsewhere:4222"})
    found = Around(named_site("default"), (BUS,), (hall,)).resolve()
    assert found.problem is not None
    assert found.problem.reason is CameraReason.BUS_CREDENTIALS_MISSING
    assert "credentialsSecretRef" in found.problem.message
    assert "elsewhere" not in found.wiring.nats_url


def test_only_keys_that_are_read_change_the_wiring() -> None:
    """Another value under a key of a Secret that the stream reads leads to another wiring."""

    def of(**values: str) -> str:
        found = Around(camera_object(source=LOGIN), (BUS, secret("login", **values))).resolve()  # type: ignore[arg-type]  # values are keys
        return found.wiring.secrets_digest

    assert of(username="a", password="b") != of(username="a", password="c")
    assert of(username="a", password="b") == of(username="a", password="b", note="c")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"source": {"url": "rtsp://user:pass@10.0.0.5/"}}, "spec.source.url"),
        ({"sampling": {"fps": "fast"}}, "spec.sampling.fps"),
        ({"madeUp": 1}, "spec.madeUp: unknown field"),
        ({"source": {"type": "Pigeon"}}, "spec.source.type"),
    ],
    ids=str,
)
def test_a_spec_of_another_version_is_reported_as_invalid(spec: dict[str, Any], words: str) -> None:
    found = parse(camera_object(**spec))
    assert isinstance(found, Problem)
    assert found.reason is CameraReason.INVALID_SPEC
    assert words in found.message


def test_a_camera_without_a_spec_is_reported_as_invalid() -> None:
    obj = camera_object()
    del obj["spec"]
    assert isinstance(parse(obj), Problem)
