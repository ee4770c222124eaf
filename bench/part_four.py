"""Parts `latency`, `memory` and `stages`: read from one run of four cameras."""

from collections.abc import Iterator

from bench import four_cameras, windows
from bench.context import Bench
from bench.figures import ExpectedRow, Goal, Row, percentiles
from bench.parts import Part, measured_row

ENDS = {"identified": ("frame → identity", 100.0), "subscriber": ("frame → subscriber", 150.0)}
LATENCY_ROWS = {
    (end, share): ExpectedRow(f"{shown}, {share}", "ms", Goal("at most", goal) if share == "p95" else None)
    for end, (shown, goal) in ENDS.items()
    for share in ("p50", "p95", "p99")
}
STREAM = ExpectedRow("stream process, largest", "MiB", Goal("at most", 120))
SUM = ExpectedRow("all processes, proportional share", "MiB")


def latency(bench: Bench) -> Iterator[Row]:
    """Yield percentiles over the revisions that a frame caused."""
    run = four_cameras.run(bench)
    found = windows.latencies_ms(run.received)
    for end in ENDS:
        if not found.get(end):
            msg = f"no event with a trace to '{end}' was received, of {len(run.received)} events"
            raise RuntimeError(msg)
        shares = percentiles(found[end])
        for share in ("p50", "p95", "p99"):
            yield measured_row(
                "latency", LATENCY_ROWS[end, share], getattr(shares, share), f"{shares.count} revisions; {run.note}"
            )
    order = ("detected", "embedded", "published", "identified", "subscriber")
    table = [(name, percentiles(found[name])) for name in order if found.get(name)]
    bench.keep(
        "latency",
        "From capture to each station, ms",
        [{"station": name, "p50": value.p50, "p95": value.p95, "p99": value.p99} for name, value in table],
    )


def memory(bench: Bench) -> Iterator[Row]:
    """Yield the resident memory of the processes."""
    found = four_cameras.run(bench).memory
    streams = [process for process in found if process.name.startswith("stream-")]
    if not streams:
        msg = "no stream process was running"
        raise RuntimeError(msg)
    yield measured_row("memory", STREAM, max(process.rss for process in streams), f"RSS of {len(streams)} processes")
    shares = [process.pss for process in found if process.pss is not None]
    yield measured_row("memory", SUM, sum(shares) if shares else None, "PSS: shared pages counted once")
    bench.keep(
        "memory",
        "Every process, MiB",
        [{"process": process.name, "RSS": process.rss, "PSS": process.pss} for process in found],
    )


def stages(bench: Bench) -> Iterator[Row]:
    """Yield the stages of a frame with their durations."""
    run = four_cameras.run(bench)
    for line in windows.stages(run.before, run.after):
        yield Row("stages", f"stage {line['stage']}", float(line["mean ms"]), "ms", note=f"{line['per second']:.1f}/s")
    yield measured_row("stages", CORES, four_cameras.busy(run), "serving and measuring not counted")
    bench.keep("stages", "CPU by process", windows.cpu(run.before, run.after))


CORES = ExpectedRow("cores that the system uses", "cores")
ABOUT = "Four cameras at 5 fps with the open pack, motion gate and duplicate filter off, one subscriber. "
LATENCY = Part(
    "latency",
    "Latency",
    ABOUT
    + "From the moment a frame left the decoder (`trace.capturedAt`) to identity's decision and to the arrival at "
    "the subscriber, over all revisions that a frame with a new best shot caused.",
    tuple(LATENCY_ROWS.values()),
    latency,
)
MEMORY = Part("memory", "Memory", ABOUT + "RSS and PSS from /proc at the end of the run.", (STREAM, SUM), memory)
STAGES = Part(
    "stages",
    "Where the time goes",
    ABOUT + "Means of the stream processes' own stage timings (`vigil_stream_stage_duration_seconds`) over the run.",
    (CORES,),
    stages,
)
