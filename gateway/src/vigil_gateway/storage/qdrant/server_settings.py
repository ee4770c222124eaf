"""How a Qdrant server stores and searches embeddings, by their size: the settings, and the figures that chose them.

Every search compares the face with every embedding, quantised and held in memory, and compares the best `candidates` in
full. A graph (HNSW, Qdrant's default) skips most of the comparisons, and with them enrolled people. Measured with
Qdrant 1.18 and 100,000 embeddings of 512 numbers, at a cosine of 0.74 to the person who is searched for:

======================  ============  =====================================
search                  found first   time
======================  ============  =====================================
graph, `ef` 256         95.3 %        p95 38 to 57 ms while it is built
graph, `ef` 512         99.3 %
all, as they are        100 %         24 ms
all, int8               400 of 400    12 ms
all, binary             400 of 400    p50 4.8 ms
======================  ============  =====================================

A face at the threshold of recognition is less similar. This many of 400 had the person among the best candidates of the
coarse comparison, of 100,000 random directions, computed without a server (a unit test has it for 20,000):

====  ======  ============================  ========
size  cosine  binary, best 10 / 100 / 500  int8, 10
====  ======  ============================  ========
512   0.74    100 / 100 / 100 %             100 %
512   0.36    98 / 100 / 100 %              100 %
128   0.74    100 / 100 / 100 %             100 %
128   0.36    8 / 29 / 56 %                 100 %
====  ======  ============================  ========

So embeddings of fewer numbers are kept as int8: a quarter of the memory instead of a thirty-second.

Parts of a collection that the optimiser has not reached (small collections, and what is new) are compared in full, so
that nobody is missed while a server indexes.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

from qdrant_client import models

BINARY: Final = models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
INT8: Final = models.ScalarQuantization(
    scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
)
NO_GRAPH: Final = 0
"""HNSW's `m`: the optimiser builds no graph, and a search compares all."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings for embeddings of a size.

    Attributes
    ----------
    least_size
        Numbers of an embedding from which they hold.
    candidates
        Best embeddings of the coarse comparison that are compared in full.
    """

    least_size: int
    quantisation: models.BinaryQuantization | models.ScalarQuantization
    candidates: int


TABLE: Final = (
    ServerSettings(512, BINARY, 500),
    ServerSettings(1, INT8, 100),
)
"""By size, largest first."""


def settings_for(size: int) -> ServerSettings:
    """Return the settings for embeddings of `size` numbers."""
    return next(one for one in TABLE if size >= one.least_size)


def vectors(size: int) -> models.VectorParams:
    """Return the parameters of the vectors of a new collection."""
    return models.VectorParams(
        size=size,
        distance=models.Distance.DOT,
        hnsw_config=models.HnswConfigDiff(m=NO_GRAPH),
        quantization_config=settings_for(size).quantisation,
    )


def changes(found: models.VectorParams) -> models.VectorParamsDiff | None:
    """Return what an existing collection is to be changed by; None when it has the settings.

    Parameters
    ----------
    found
        The parameters of its vectors.
    """
    wanted = vectors(found.size)
    if _holds(found.model_dump(), wanted.model_dump(exclude_none=True)):
        return None
    return models.VectorParamsDiff(hnsw_config=wanted.hnsw_config, quantization_config=wanted.quantization_config)


def _holds(found: Any, wanted: Any) -> bool:  # noqa: ANN401 - plain data of any shape
    """Return whether all that is wanted is found; a server adds defaults, and returns numbers of 32 bits."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(_holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, float) and isinstance(found, float):
        return math.isclose(found, wanted, rel_tol=1e-6)
    return bool(found == wanted)


def search_params(size: int, limit: int, *, exact: bool) -> models.SearchParams:
    """Return the parameters of a search.

    Parameters
    ----------
    exact
        Compare all embeddings in full: a part of the collection may still have a graph.
    """
    oversampling = max(1.0, settings_for(size).candidates / limit)
    return models.SearchParams(
        exact=exact,
        indexed_only=False,
        quantization=models.QuantizationSearchParams(ignore=exact, rescore=True, oversampling=oversampling),
    )
