"""Report which of kopf's own requests to the API server fail.

kopf retries a failed list or watch by itself and shows nothing but one log line for each attempt. Its session is made
here, with aiohttp's request tracing, so that an outage is logged once, counted, and part of /readyz.
"""

import asyncio
from types import SimpleNamespace
from typing import Final

import aiohttp
import kopf
import structlog
from prometheus_client import Counter

from vigil_operator.kube.errors import FORBIDDEN, UNREACHABLE
from vigil_operator.kube.kinds import ADDRESSES, OWN_KINDS

log = structlog.get_logger(__name__)

HTTP_ERROR: Final = 400
HTTP_DENIED: Final = (401, 403)
HTTP_NOT_FOUND: Final = 404
ADVICE: Final = {
    HTTP_NOT_FOUND: "; install the CRDs: kubectl apply -f crds/",
    429: "; the API server asks for fewer requests, and kopf waits as long as it says",
}
LOGIN: Final = "the login"
PLURALS: Final = frozenset(ADDRESSES[kind].plural for kind in OWN_KINDS)


class TracedConnection(kopf.AiohttpSession):
    """Credentials of kopf whose sessions are traced.

    Each use opens a session: kopf closes one while its watches still end, and a closed one would let them wait for
    another login without end. Credentials are equal by their values, so that kopf does not try refused ones again.
    """

    def __init__(self, connection: kopf.ConnectionInfo, trace: aiohttp.TraceConfig) -> None:
        for name in ("server", "priority", "default_namespace", "expiration"):
            object.__setattr__(self, name, getattr(connection, name))
        object.__setattr__(self, "connection", connection)
        object.__setattr__(self, "trace", trace)

    connection: kopf.ConnectionInfo
    trace: aiohttp.TraceConfig

    @property
    def aiohttp_session(self) -> aiohttp.ClientSession:
        """A new session, which kopf closes."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self.connection.as_ssl_context()),
            headers=self.connection.as_http_headers(),
            proxy=self.connection.proxy_url,
            trust_env=self.connection.trust_env,
            trace_configs=[self.trace],
        )

    def __eq__(self, other: object) -> bool:
        """Return whether the credentials are the same."""
        return isinstance(other, TracedConnection) and self.connection == other.connection

    def __hash__(self) -> int:
        """Return a hash of the credentials."""
        return hash(self.server)


class KopfRequests:
    """The requests of kopf that fail now, by path: a list and a watch of the same objects share one.

    Parameters
    ----------
    failures
        Counts failed requests, by error.
    """

    def __init__(self, failures: Counter) -> None:
        self._failures = failures
        self._errors: dict[str, str] = {}

    @property
    def error(self) -> str:
        """For /readyz: what kopf cannot request, and why; empty when its last requests succeeded."""
        return "; ".join(f"kopf cannot request {what}: {reason}" for what, reason in self._errors.items())

    def trace(self, connection: kopf.ConnectionInfo) -> "TracedConnection":
        """Return credentials for kopf, of which every session reports its requests here."""
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._end_request)
        trace.on_request_exception.append(self._fail_request)
        return TracedConnection(connection, trace)

    def set_error(self, what: str, error: str, reason: str) -> None:
        """Record that a request failed; the first failure of an outage is logged.

        Parameters
        ----------
        error
            A short name, for the metric.
        reason
            The cause and what to check.
        """
        self._failures.labels(error).inc()
        outage = bool(self._errors)
        self._errors[what] = reason
        if not outage:
            effect = "trying again; changes of Vigil's objects are found by the periodic comparison only"
            log.warning("kopf's requests fail", what=what, reason=reason, effect=effect)

    def clear_error(self, what: str) -> None:
        """Record that a request succeeded; the end of an outage is logged."""
        if self._errors.pop(what, "") and not self._errors:
            log.info("kopf's requests succeed again", what=what)

    async def _end_request(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, request: aiohttp.TraceRequestEndParams
    ) -> None:
        status = request.response.status
        absent = status == HTTP_NOT_FOUND and request.url.name not in PLURALS  # while kopf looks which kinds there are
        if status < HTTP_ERROR or absent:
            self.clear_error(request.url.path)
            return
        advice = FORBIDDEN if status in HTTP_DENIED else ADVICE.get(status, UNREACHABLE)
        reason = f"HTTP {status} {request.response.reason}{advice}"
        self.set_error(request.url.path, f"HTTP {status}", reason)

    async def _fail_request(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, request: aiohttp.TraceRequestExceptionParams
    ) -> None:
        error = request.exception
        if isinstance(error, asyncio.CancelledError):  # kopf ends, or opens a quiet stream again
            return
        reason = f"{type(error).__name__}: {error}".rstrip(": ") + UNREACHABLE
        self.set_error(request.url.path, type(error).__name__, reason)
