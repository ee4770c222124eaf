"""Photos in Secrets and ConfigMaps, and the reasons of absent ones."""

import base64
import hashlib
from typing import Any

import pytest
from tests.unit.operator.contexts import context_of

from vigil_contracts.registry import PhotoReason
from vigil_contracts.resources.subject import Photo
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.kinds import Kind
from vigil_operator.kube.readable import READABLE_BY
from vigil_operator.reconcile.subject.photos import inspect, read, value_of
from vigil_runtime.photos import Downloader

JPEG = b"\xff\xd8 not text \x00"
ENCODED = base64.b64encode(JPEG).decode()
SHA = hashlib.sha256(JPEG).hexdigest()


@pytest.mark.parametrize(
    ("kind", "source", "found"),
    [
        (Kind.SECRET, {"data": {"a.jpg": ENCODED}}, JPEG),
        (Kind.SECRET, {"data": {"b.jpg": ENCODED}}, None),
        (Kind.SECRET, {"data": None}, None),
        (Kind.SECRET, {"data": {"a.jpg": ""}}, b""),
        (Kind.CONFIG_MAP, {"binaryData": {"a.jpg": ENCODED}}, JPEG),
        (Kind.CONFIG_MAP, {"data": {"a.jpg": "as text"}}, b"as text"),
        (Kind.CONFIG_MAP, {}, None),
    ],
)
def test_the_bytes_under_a_key_are_those_that_were_put_there(
    kind: Kind, source: dict[str, Any], found: bytes | None
) -> None:
    assert value_of(source, kind, "a.jpg") == found


def cache_with(kind: Kind, **fields: Any) -> Cache:
    cache = Cache()
    labels = {READABLE_BY: "Subject"}
    metadata = {"name": "ann", "namespace": "default", "resourceVersion": "1", "labels": labels}
    cache.put(kind, {"metadata": metadata, **fields})
    return cache


def secret(sha256: str | None = None, key: str = "a.jpg") -> Photo:
    return Photo.model_validate({"name": "one", "secretKeyRef": {"name": "ann", "key": key}, "sha256": sha256})


def test_a_photo_is_known_by_its_digest_without_being_read() -> None:
    assert inspect([secret()], "default", cache_with(Kind.SECRET, data={"a.jpg": ENCODED})).digests == {"one": SHA}
    of_map = Photo.model_validate({"name": "one", "configMapKeyRef": {"name": "ann", "key": "a.jpg"}})
    found = inspect([of_map], "default", cache_with(Kind.CONFIG_MAP, binaryData={"a.jpg": ENCODED}))
    assert found.digests == {"one": SHA}


@pytest.mark.parametrize(
    ("photo", "cache", "reason", "said"),
    [
        (secret(), Cache(), "NotFound", "there is no Secret ann in namespace default"),
        (secret(key="b"), cache_with(Kind.SECRET, data={"a.jpg": ENCODED}), "NotFound", "Secret ann has no key b"),
        (
            secret(sha256="0" * 64),
            cache_with(Kind.SECRET, data={"a.jpg": ENCODED}),
            "ChecksumMismatch",
            f"the bytes have sha256 {SHA}; the Subject states 000",
        ),
        (
            Photo.model_validate({"name": "one", "url": "file:a.jpg", "sha256": SHA}),
            Cache(),
            "NotFound",
            "only https:// is fetched in a cluster",
        ),
    ],
)
def test_an_absent_photo_has_a_place_and_a_reason(photo: Photo, cache: Cache, reason: str, said: str) -> None:
    absent = inspect([photo], "default", cache).absent["one"]
    assert (str(absent.reason), said in absent.message) == (reason, True), absent.message


async def test_a_secret_that_no_subject_may_name_is_not_read() -> None:
    """The API server is away: asking it would raise KubeError."""
    cache = cache_with(Kind.SECRET)
    labels = {READABLE_BY: "Camera"}
    metadata = {"name": "ann", "namespace": "default", "resourceVersion": "2", "labels": labels}
    cache.put(Kind.SECRET, {"metadata": metadata, "data": {"a.jpg": ENCODED}})
    context = context_of(cache)
    downloader = Downloader(())
    found = await read([secret()], "default", context.api, cache, downloader)
    await downloader.close()
    await context.api.close()
    assert found.absent == inspect([secret()], "default", cache).absent
    assert found.absent["one"].reason is PhotoReason.NOT_READABLE
    assert found.absent["one"].message.endswith(
        "kubectl label secret ann -n default --overwrite vigil.dev/readable-by=Subject"
    )
    assert not found.data


def test_a_photo_at_an_address_counts_until_it_is_read() -> None:
    by_address = Photo.model_validate({"name": "one", "url": "https://example.org/a.jpg", "sha256": SHA})
    assert inspect([by_address], "default", Cache()).digests == {"one": SHA}
