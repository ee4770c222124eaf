"""The metrics of every program: Prometheus' naming rules, and the names that dashboard and alerts use.

The rules are those of `promtool check metrics` (promlint) as far as names, types and help texts show them, and Vigil's
own: durations are histograms named `_duration_seconds`, and nothing is a percentile or a rate computed beforehand.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from vigil_contracts.events import CameraCounters, CameraRef
from vigil_gateway.api.app import create_app
from vigil_gateway.api.factory import build
from vigil_gateway.api.limits import ApiLimits
from vigil_gateway.identity.metrics import Metrics as IdentityMetrics
from vigil_gateway.settings import ApiSettings
from vigil_operator.metrics import Metrics as OperatorMetrics
from vigil_stream.metrics import Metrics as StreamMetrics
from vigil_stream.status import Status

CHART = Path(__file__).parents[2] / "charts/vigil"
PROGRAMS = ("stream", "identity", "api", "operator")
NOT_BASE_UNITS = re.compile(
    r"_(ms|millis|milliseconds|us|microseconds|ns|nanoseconds|minutes?|hours?|days?|kb|mb|gb|kilobytes|megabytes"
    r"|percent|permille|fps|per_second|p\d+)(_|$)"
)
TYPE_IN_NAME = re.compile(r"_(gauge|counter|histogram|summary|timer)(_|$)")
RESERVED_SUFFIXES = ("_total", "_count", "_sum", "_bucket")


def stream() -> CollectorRegistry:
    status = Status("default", CameraRef(namespace="default", name="door"), "s", lambda: None)
    return StreamMetrics(status.heartbeat).registry


def identity() -> CollectorRegistry:
    metrics = IdentityMetrics()
    metrics.watch_bus_errors(lambda: 0)
    return metrics.registry


def operator() -> CollectorRegistry:
    metrics = OperatorMetrics()
    metrics.watch_queue(lambda: 0, lambda: 0)
    return metrics.registry


async def scraped_api() -> str:
    """Return the API's metrics over HTTP, while neither Postgres nor NATS is there."""
    nowhere = ApiSettings(database_url=SecretStr("postgresql://u:p@127.0.0.1:9/d"), token=SecretStr("t"))
    transport = httpx.ASGITransport(create_app(build(nowhere, ApiLimits()), "t"))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
        return (await http.get("/metrics", headers={"authorization": "Bearer t"})).text


async def scrape(program: str) -> list[Metric]:
    registries = {"stream": stream, "identity": identity, "operator": operator}
    text = await scraped_api() if program == "api" else generate_latest(registries[program]()).decode()
    return list(text_string_to_metric_families(text))


def broken_rules(metric: Metric) -> Iterator[str]:
    name = metric.name + ("_total" if metric.type == "counter" else "")
    labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
    rules = {
        "needs a help text": bool(metric.documentation),
        "help text ends with a full stop": metric.documentation.endswith("."),
        "only lower case, digits and _": re.fullmatch(r"[a-z][a-z0-9_]*", name),
        "only lower case in labels": all(re.fullmatch(r"[a-z][a-z0-9_]*", label) for label in labels),
        "base units only, no percentiles and rates": not NOT_BASE_UNITS.search(name),
        "no type in the name": not TYPE_IN_NAME.search(name),
        "a suffix of another type": not metric.name.endswith(RESERVED_SUFFIXES),
        "unit last": not any(f"_{unit}_" in name.removesuffix("_total") for unit in ("seconds", "bytes", "ratio")),
        "durations are histograms": (metric.type == "histogram")
        == (name.endswith("_duration_seconds") or "duration" in name),
        "seconds only of durations and timestamps": not name.endswith("_seconds")
        or name.endswith(("_duration_seconds", "_timestamp_seconds")),
        "no summary, no untyped": metric.type in {"counter", "gauge", "histogram"},
        "no quantile": "quantile" not in labels,
    }
    yield from (f"{name}: {rule}" for rule, held in rules.items() if not held)


@pytest.mark.parametrize("program", PROGRAMS)
async def test_metrics_follow_prometheus_naming_rules(program: str) -> None:
    """Names, types, labels and help texts of a program's own metrics."""
    own = [metric for metric in await scrape(program) if metric.name.startswith("vigil_")]
    assert {metric.name.split("_")[1] for metric in own} == {program, "build"}
    assert not [broken for metric in own for broken in broken_rules(metric)]


@pytest.mark.parametrize("program", PROGRAMS)
async def test_every_program_exports_its_build_and_process(program: str) -> None:
    samples = {sample.name: sample for metric in await scrape(program) for sample in metric.samples}
    assert samples["vigil_build_info"].value == 1
    assert samples["vigil_build_info"].labels["program"] == program
    assert "process_resident_memory_bytes" in samples
    assert not [name for name in samples if name.endswith("_created")]


def expressions() -> Iterator[str]:
    """Yield the PromQL of dashboard and alerts."""
    alerts = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
    for group in alerts["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    dashboard = json.loads((CHART / "files/dashboard.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query")


def series(metric: Metric) -> set[str]:
    """Return the names under which Prometheus keeps a metric; one with labels has no samples before its first use."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(metric.type, ("",))
    return {metric.name + suffix for suffix in suffixes}


async def test_metrics_of_dashboard_and_alerts_exist() -> None:
    """Also those that are named by a pattern, and only by names that Prometheus keeps."""
    known: set[str] = set()
    for program in PROGRAMS:
        known = known.union(*(series(metric) for metric in await scrape(program)))
    used: set[str] = set()
    for expression in expressions():
        for pattern in re.findall(r'__name__=~"([^"]+)"', expression):
            assert len([name for name in known if re.fullmatch(pattern, name)]) > 1, pattern
        used.update(re.findall(r"\bvigil_(?!\()[a-z0-9_]+", re.sub(r'"[^"]*"', "", expression)))
    assert len(used) > 20
    assert used <= known, used - known


def test_every_counter_of_a_stream_has_a_help_text() -> None:
    names = {metric.name.removeprefix("vigil_stream_") for metric in stream().collect() if metric.type == "counter"}
    assert set(CameraCounters.model_fields) <= names


def test_a_scrape_of_a_stream_stays_small() -> None:
    """A thousand cameras are scraped every few seconds: 16 KiB each, and a figure per frame is a histogram's."""
    registry = stream()
    assert len(generate_latest(registry)) < 16_384
