"""kopf's part: importing this package registers every handler with kopf.

Handlers read what kopf passes and call one function of the `Program` in `memo.program`; the rest of the operator does
not know kopf. `lifecycle` wires and ends the operator, `probes` answers liveness, and there is one module for each kind
that kopf watches.
"""

from vigil_operator.handlers import cameras, lifecycle, probes, sites, subjects

__all__ = ["cameras", "lifecycle", "probes", "sites", "subjects"]
