"""The command line shows enum values of the API as kubectl shows them."""

from enum import StrEnum

import pytest

from vigil_cli.client.enums import resource_word
from vigil_contracts.conditions import FitnessReason, SourceReason
from vigil_contracts.events import CameraState, IdentityStatus
from vigil_contracts.resources.camera import SourceType


@pytest.mark.parametrize(
    ("kind", "value", "word"),
    [
        (CameraState, "STREAMING", "Streaming"),
        (SourceReason, "NOT_A_VIDEO", "NotAVideo"),
        (FitnessReason, "FACES_TOO_SMALL", "FacesTooSmall"),
        (IdentityStatus, "KNOWN", "Known"),
        (SourceType, "HTTP_MJPEG", "HTTPMJPEG"),
        (CameraState, "OF_A_NEWER_VERSION", "OF_A_NEWER_VERSION"),
    ],
)
def test_values_become_the_resources_words(kind: type[StrEnum], value: str, word: str) -> None:
    assert resource_word(kind, value) == word
