"""Start and end the operator inside kopf."""

import asyncio
import dataclasses
import ssl
from typing import Any, Final

import kopf

from vigil_operator.kopf_requests import LOGIN, KopfRequests, TracedConnection

PREFIX: Final = "vigil.dev"

RETRY_PAUSES_S: Final = (0.5, 1.0, 2.0, *(5.0,) * 60)
"""Five minutes: an API server that answers 5xx or 403 for longer ends kopf, and with it the process.

A server that cannot be reached is retried without end.
"""

LOGIN_PAUSE_S: Final = 5.0
"""Before another attempt to read credentials that cannot be read."""


@kopf.on.startup(errors=kopf.ErrorsMode.PERMANENT)
async def start(settings: kopf.OperatorSettings, memo: Any, **_: Any) -> None:  # noqa: ANN401 - kopf's types
    """Configure kopf, start the operator's tasks, and wait for the API server; kopf begins to watch after that."""
    configure(settings)
    try:
        await memo.program.start()
    except asyncio.CancelledError:
        await memo.program.stop()  # kopf skips the cleanup when the start was interrupted
        raise
    except Exception as error:
        memo.program.fail(error)
        await memo.program.stop()
        raise


@kopf.on.cleanup()
async def end(memo: Any, **_: Any) -> None:  # noqa: ANN401 - kopf's types
    """Finish the reconciles under way, return the Lease and close every connection."""
    await memo.program.stop()


class Connection(kopf.ConnectionInfo):
    """kopf's connection, verified as the API client's: authorities may lack extensions that Python 3.13 requires."""

    def as_ssl_context(self) -> ssl.SSLContext:
        """Return kopf's context without the checks that are new in Python 3.13."""
        context = super().as_ssl_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


@kopf.on.login()
async def log_in(memo: Any, **given: Any) -> TracedConnection | None:  # noqa: ANN401 - kopf's types
    """Use what the API client uses, in the same order: the pod's service account, then the kubeconfig."""
    requests: KopfRequests = memo.program.kopf_requests
    try:
        found = kopf.login_with_service_account(**given) or kopf.login_with_kubeconfig(**given)
        if found is None:
            return None
        values = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
        connection = Connection(**values)
        connection.as_ssl_context()  # its errors are raised here
    except Exception as error:
        reason = f"{error}; check the service account's token and authority, or the kubeconfig"
        requests.set_error(LOGIN, type(error).__name__, reason)
        raise kopf.TemporaryError(reason, delay=LOGIN_PAUSE_S) from error
    requests.clear_error(LOGIN)
    return requests.trace(connection)


def configure(settings: kopf.OperatorSettings) -> None:
    """Set kopf up to watch and to write nothing: no finalizer, no annotation, no event, no peering object."""
    settings.persistence.finalizer = f"{PREFIX}/kopf"  # never added: no handler needs it
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=PREFIX)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=PREFIX, key="last-handled")
    settings.peering.standalone = True  # the Lease elects the leader
    settings.posting.enabled = False  # the operator writes its own events, on transitions only
    settings.scanning.disabled = True  # spares the right to read CRDs and namespaces
    settings.process.ultimate_exiting_timeout = None  # the end has its own deadline
    settings.networking.request_timeout = 30.0
    settings.networking.connect_timeout = 5.0
    settings.networking.error_backoffs = RETRY_PAUSES_S
    settings.watching.chunk_size = 500
    settings.watching.reconnect_backoff = 1.0
    settings.queueing.idle_timeout = 1.0
