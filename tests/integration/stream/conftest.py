"""Deadlines short enough for tests; the promises are about the reports, not about their seconds."""

import pytest

from vigil_stream.capture import container, factory, frozen, http_source, jpeg_sources, keyframes, liveness


@pytest.fixture(autouse=True)
def _short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (container, http_source, jpeg_sources):
        monkeypatch.setattr(module, "OPEN_DEADLINE_S", 4.0)
    for module in (container, factory):
        monkeypatch.setattr(module, "RESPONSE_DEADLINE_S", 2.0)
    monkeypatch.setattr(container, "POLL_S", 0.5)
    monkeypatch.setattr(liveness, "MIN_STALL_S", 2.0)
    monkeypatch.setattr(liveness, "FIRST_STALL_S", 4.0)
    monkeypatch.setattr(liveness, "UNKNOWN_STALL_S", 4.0)
    monkeypatch.setattr(keyframes, "REPORT_AFTER_S", 2.0)
    monkeypatch.setattr(frozen, "FROZEN_AFTER_S", 2.0)
    monkeypatch.setattr(frozen, "REPEAT_S", 1.0)
