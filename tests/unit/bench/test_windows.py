import datetime as dt
from typing import Any

import pytest
from bench import windows
from bench.profiling import hottest
from bench.subscriber import ReceivedEvent, read_event
from bench.system import Snapshot, parse_metrics

DETECT = 'vigil_stream_stage_duration_seconds_{}{{stage="detect"}}'


def histogram(name: str, count: float, seconds: float) -> dict[str, float]:
    """Return the buckets of a histogram in which every observation took so many seconds."""
    bounds = (0.1, 0.5, 1.0, 2.0, float("inf"))
    return {f'{name}_bucket{{le="{bound}"}}': count if seconds <= bound else 0 for bound in bounds}


def snapshot(at: float, frames: int, *, cpu_s: float = 0.0, machine_s: float = 0.0, p95: float = 0.1) -> Snapshot:
    metrics = {
        "vigil_stream_frames_analysed_total": frames,
        **histogram(windows.LATENCY, frames, p95),
        DETECT.format("count"): frames,
        DETECT.format("sum"): frames * 0.02,
    }
    used = {"stream-default_c0": cpu_s, "triton: stub 1": cpu_s, "triton: stub 2": cpu_s, "nats": 0.0}
    return Snapshot(at, {"c0": metrics}, {}, used, machine_s)


@pytest.mark.parametrize(
    ("frames", "p95", "held"), [(50, 0.1, True), (48, 1.0, True), (47, 0.1, False), (50, 1.1, False)]
)
def test_a_camera_is_sustained_at_95_percent_and_fresh_frames(frames: int, p95: float, *, held: bool) -> None:
    """A camera is sustained at 95 percent and with fresh frames."""
    seen = windows.camera_windows(snapshot(0, 100), snapshot(10, 100 + frames, p95=p95))
    assert seen["c0"].sustained(5) is held


def test_quantile_interpolates_the_growth_of_a_histogram() -> None:
    then, now = histogram("h", 10, 3.0), histogram("h", 110, 0.3)
    now['h_bucket{le="+Inf"}'] = now.pop('h_bucket{le="inf"}')
    then['h_bucket{le="+Inf"}'] = then.pop('h_bucket{le="inf"}')
    assert windows.quantile(then, now, "h", 0.5) == pytest.approx(0.1 + 0.4 * 0.5, abs=0.03)
    assert windows.quantile(now, now, "h", 0.95) == 0.0
    assert windows.quantile(histogram("h", 0, 3.0), histogram("h", 7, 3.0), "h", 0.95) == 2.0


@pytest.mark.parametrize("missing", ["before", "after"])
def test_a_camera_without_metrics_counts_as_idle(missing: str) -> None:
    before, after = snapshot(0, 0), snapshot(10, 50)
    (before if missing == "before" else after).cameras["c0"] = {}
    assert not windows.camera_windows(before, after)["c0"].sustained(5)


def test_stages_and_cpu_are_reported_per_frame() -> None:
    before, after = snapshot(0, 0), snapshot(10, 100, cpu_s=2.0)
    (stage,) = windows.stages(before, after)
    assert stage == {
        "stage": "detect",
        "per second": 10,
        "mean ms": pytest.approx(20),
        "ms per frame": pytest.approx(20),
    }
    assert [(line["process"], line["cores"], line["CPU ms per frame"]) for line in windows.cpu(before, after)] == [
        ("triton: stub", 0.4, 40),
        ("stream processes", 0.2, 20),
    ]


def test_what_other_programs_used_is_what_remains() -> None:
    before, after = snapshot(0, 0), snapshot(10, 100, cpu_s=2.0, machine_s=15.0)
    assert windows.others_cores(before, after, known_s=4.0) == pytest.approx(0.5)


def _event(**trace: str) -> dict[str, Any]:
    return {
        "seq": "7",
        "sighting": {"state": "Updated"},
        "identity": {"subject": {"name": "ada"}},
        "trace": trace or None,
    }


def test_latency_counts_only_revisions_of_a_new_best_shot() -> None:
    """Latency counts only revisions that a new best shot caused."""
    captured = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    at = {"capturedAt": captured, "embeddedAt": captured + dt.timedelta(milliseconds=40)}
    stations = {name: moment.isoformat() for name, moment in at.items()}
    received = [
        read_event(_event(**stations), captured.timestamp() + 0.1),
        read_event(_event(capturedAt=stations["capturedAt"]), captured.timestamp() + 9),
        read_event(_event(), captured.timestamp() + 9),
    ]
    assert received[0].subject == "ada"
    found = windows.latencies_ms(received)
    assert found == {"subscriber": [pytest.approx(100)], "embedded": [pytest.approx(40)]}


def test_an_unknown_person_has_no_name() -> None:
    event = _event() | {"identity": {"subject": None}}
    assert read_event(event, 1.0) == ReceivedEvent(1.0, 7, "Updated", None, {})


def test_metrics_are_read_with_their_labels() -> None:
    text = '# HELP x y\na_total 5.0\nb{stage="detect"} 1e-3\nbroken\n'
    assert parse_metrics(text) == {"a_total": 5.0, 'b{stage="detect"}': 0.001}


def test_the_hottest_functions_are_those_in_which_samples_end() -> None:
    folded = "main;wait (a.py:1) 30\nmain;work (/x/site-packages/b.py:2) 60\nother;wait (a.py:1) 10\n"
    assert hottest(folded) == [
        {"function": "work (b.py:2)", "share %": 60},
        {"function": "wait (a.py:1)", "share %": 40},
    ]
