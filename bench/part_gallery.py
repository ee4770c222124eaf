"""Part `gallery`: searching 10,000 and 100,000 embeddings through identity's own gallery interface."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.context import Bench
from bench.figures import ExpectedRow, Goal, Row, percentiles
from bench.parts import Part, measured_row

PART = "gallery"
SIZE = 512
COUNTS = (10_000, 100_000)
LIMIT = 10
QUERIES = 400
PAGE = 2_000
NOISE = 0.04
"""Deviation of each coordinate of a query from the enrolled embedding: cosine about 0.74, as between two photos."""
MODEL = "bench-512"
ROWS = {
    (count, share): ExpectedRow(
        f"search among {count:,} x {SIZE}, {share}",
        "ms",
        Goal("at most", 10) if (count, share) == (100_000, "p95") else None,
    )
    for count in COUNTS
    for share in ("p50", "p95")
}
FOUND = {
    count: ExpectedRow(f"enrolled people found first among {count:,} x {SIZE}", "%", Goal("at least", 99))
    for count in COUNTS
}


@dataclass(frozen=True, slots=True)
class Searched:
    """Times of single searches in ms, and the number that found the right person first."""

    times_ms: list[float]
    right: int
    fill_s: float


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows scaled to length 1."""
    scaled: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


async def search_among(bench: Bench, count: int) -> Searched:
    """Fill a gallery with one embedding for each of `count` people, settle it, and search one face after the other."""
    from vigil_gateway.storage.qdrant.embedded import EmbeddedGallery
    from vigil_gateway.storage.qdrant.gallery import Entry

    random = np.random.default_rng(count)
    vectors = unit_rows(random.standard_normal((count, SIZE), np.float32))
    people = [uuid.UUID(int=index + 1) for index in range(count)]
    gallery = EmbeddedGallery(bench.work / f"gallery-{count}")
    await gallery.open()
    try:
        await gallery.create(MODEL, SIZE)
        begun = time.monotonic()
        for start in range(0, count, PAGE):
            bench.report(f"gallery of {count:,}: {start:,}")
            page = range(start, min(start + PAGE, count))
            await gallery.put(MODEL, [Entry(people[index], "photo", vectors[index]) for index in page])
        bench.report(f"gallery of {count:,}: settling")
        await gallery.settle(MODEL)
        fill_s = time.monotonic() - begun
        wanted = random.integers(0, count, QUERIES)
        queries = unit_rows(vectors[wanted] + NOISE * random.standard_normal((QUERIES, SIZE), np.float32))
        times, right = [], 0
        for index, query in zip(wanted.tolist(), queries, strict=True):
            started = time.perf_counter()
            (found,) = await gallery.search(MODEL, query[None], LIMIT)
            times.append(1000 * (time.perf_counter() - started))
            right += bool(found.nearest) and found.nearest[0].subject_id == people[index]
    finally:
        await gallery.close()
    return Searched(times, right, fill_s)


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows of both sizes."""
    for count in COUNTS:
        searched = asyncio.run(search_among(bench, count))
        shares = percentiles(searched.times_ms)
        note = f"filled and settled in {searched.fill_s:.0f} s"
        for share in ("p50", "p95"):
            yield measured_row(PART, ROWS[count, share], getattr(shares, share), note)
        yield measured_row(PART, FOUND[count], 100 * searched.right / QUERIES, f"{searched.right} of {QUERIES}")


GALLERY = Part(
    PART,
    "Gallery search",
    "Identity's own gallery (Qdrant embedded), filled through its interface with one random unit vector of 512 numbers "
    f"for each person; {QUERIES} faces are looked up one after the other, each the embedding of an enrolled person "
    "with noise (cosine about 0.74), and it is counted how often that person comes first.",
    (*ROWS.values(), *FOUND.values()),
    measure,
)
