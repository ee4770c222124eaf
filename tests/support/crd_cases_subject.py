"""One row for every rule of Subjects."""

from tests.support.crd_cases_base import (
    FORBIDDEN,
    SHA,
    Case,
    names,
    photo,
    photos,
    subject,
)

PHOTO, PHOTO_AT = "spec.photos[0]", "spec.photos[]"
URL = {"url": "https://example.org/a.jpg", "sha256": SHA}
ONE = "a photo names exactly one of secretKeyRef, configMapKeyRef and url"
KEY = {"name": "photos", "key": "a.jpg"}
SUBJECTS = (
    names("Subject"),
    Case(
        "Subject",
        PHOTO_AT,
        PHOTO,
        ONE,
        (photos(secretKeyRef=KEY), photos(configMapKeyRef=KEY), photos(**URL)),
        (photos(sha256=SHA), photos(secretKeyRef=KEY, configMapKeyRef=KEY), photos(secretKeyRef=KEY, **URL)),
    ),
    Case(
        "Subject",
        PHOTO_AT,
        f"{PHOTO}.sha256",
        "a photo with url needs the sha256 of its bytes",
        (photos(**URL),),
        (photos(url="https://example.org/a.jpg"), photos(url="file:a.jpg")),
        how="Required value",
    ),
    Case(
        "Subject",
        PHOTO_AT,
        f"{PHOTO}.url",
        "url must begin with https:// or, without a cluster, file:",
        (photos(**URL), photos(url="file:a.jpg", sha256=SHA)),
        (photos(url="http://example.org/a.jpg", sha256=SHA), photos(url="a.jpg", sha256=SHA)),
    ),
    Case(
        "Subject",
        PHOTO_AT,
        f"{PHOTO}.url",
        "url holds a user or a password; put the photo into a Secret and name it in secretKeyRef",
        (photos(url="https://example.org/@ada.jpg", sha256=SHA),),
        (photos(url="https://ada:secret@example.org/a.jpg", sha256=SHA),),
    ),
    Case(
        "Subject",
        "spec",
        "spec.photos",
        "two photos have the same name; rename one",
        (subject(photos=[photo("a"), photo("b")]),),
        (subject(photos=[photo("a"), photo("a", **URL)]),),
    ),
    Case(
        "Subject",
        "spec",
        "spec.photos",
        "a Subject with consent Granted needs at least one photo; name it in photos",
        (
            subject(),
            subject(photos=[], consent={"status": "Withdrawn"}),
            subject(photos=[], consent={"status": "Pending"}),
        ),
        (subject(photos=[]),),
        how="Required value",
    ),
    Case(
        "Subject",
        "spec",
        "spec.access",
        "access: a rule of who may be where is not implemented yet; leave access out",
        (subject(),),
        (subject(access={"anything": 1}), subject(access={})),
        how=FORBIDDEN,
    ),
    Case(
        "Subject",
        "spec",
        "spec.siteSelector",
        "siteSelector: replication to chosen sites is not implemented yet; leave siteSelector out",
        (subject(),),
        (subject(siteSelector={"matchLabels": {"a": "b"}}),),
        how=FORBIDDEN,
    ),
    Case(
        "Subject",
        "spec.validity",
        "spec.validity.notBefore",
        "notBefore must lie before notAfter",
        (
            subject(validity={"notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00-01:00"}),
            subject(validity={"notAfter": "2026-01-01T00:00:00Z"}),
        ),
        (
            subject(validity={"notBefore": "2026-02-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00Z"}),
            subject(validity={"notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00.000Z"}),
        ),
    ),
)
