"""Sightings, faces and resources for tests of identity."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vigil_contracts import events
from vigil_contracts.ids import new_sighting_id

MODEL = "testnet@0123456789ab"
SIZE = 16
THRESHOLD, MARGIN = 0.5, 0.05
CAMERA = "door"
Face = NDArray[np.float32]


def face(seed: int, size: int = SIZE) -> Face:
    """Make the face of one person: a direction that no other seed comes near."""
    vector = np.random.default_rng(seed).standard_normal(size)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def axis(number: int) -> Face:
    """Make one of SIZE faces that have nothing at all in common."""
    vector = np.zeros(SIZE, np.float32)
    vector[number] = 1
    return vector


def between(one: Face, other: Face, cosine: float) -> Face:
    """Make a face with this cosine to `one`, the rest of it towards `other`."""
    rest = other - (other @ one) * one
    rest /= np.linalg.norm(rest)
    return np.asarray(cosine * one + np.sqrt(1 - cosine**2) * rest, np.float32)


def shot(vector: Face | None, *, quality: float = 0.8, model: str = MODEL) -> events.BestShot:
    embedding = None if vector is None else events.Embedding.from_bytes(model, vector.astype("<f4").tobytes())
    return events.BestShot(
        captured_at=dt.datetime.now(dt.UTC),
        box=events.Box(x=0.1, y=0.2, width=0.3, height=0.4),
        landmarks=[(0.1, 0.2)] * 5,
        confidence=0.9,
        quality=events.FaceQuality(
            score=quality, face_pixels=90, sharpness=0.7, brightness=0.5, yaw_degrees=1, pitch_degrees=2, roll_degrees=3
        ),
        embedding=embedding,
    )


def a_sighting(
    *vectors: Face | None,
    site: str,
    sighting_id: uuid.UUID | None = None,
    revision: int = 1,
    state: str | None = None,
    camera: str = CAMERA,
    shots: Sequence[events.BestShot] | None = None,
) -> events.Sighting:
    sighting_id = sighting_id or new_sighting_id()
    now = dt.datetime.now(dt.UTC)
    made = events.SightingState(state or ("Opened" if revision == 1 else "Updated"))
    closed = made is events.SightingState.CLOSED
    return events.Sighting(
        sighting_id=sighting_id,
        revision=revision,
        state=made,
        site=site,
        camera=events.CameraRef(namespace="default", name=camera),
        session_id="session",
        last_seen_at=now,
        closed_at=now if closed else None,
        close_reason=events.CloseReason.LEFT if closed else None,
        frames=revision,
        box=events.Box(x=0.1, y=0.2, width=0.3, height=0.4),
        shots=list(shots) if shots is not None else [shot(vector) for vector in vectors],
        trace=events.Trace(captured_at=now),
    )


def body(sighting: events.Sighting) -> bytes:
    return events.encode_sighting(sighting, dt.datetime.now(dt.UTC))


def camera_resource(name: str = CAMERA, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "vigil.dev/v1alpha1",
        "kind": "Camera",
        "metadata": {"name": name},
        "spec": {"source": {"type": "RTSP", "url": "rtsp://10.0.0.5:554/stream"}, **spec},
    }


def subject_resource(name: str, photos: Sequence[str] = ("one",), **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "vigil.dev/v1alpha1",
        "kind": "Subject",
        "metadata": {"name": name},
        "spec": {
            "displayName": name.replace("-", " ").title(),
            "consent": {"status": "Granted"},
            "photos": [{"name": photo, "configMapKeyRef": {"name": "photos", "key": photo}} for photo in photos],
            **spec,
        },
    }
