"""Find out which of Vigil's kinds the API server serves.

kopf asks once, at its start, and watches those for as long as it runs. Asking here instead of scanning CRDs spares the
operator the right to read them.
"""

import asyncio
from typing import Final

import structlog

from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import KubeError
from vigil_operator.kube.kinds import ADDRESSES, OWN_KINDS, Kind
from vigil_runtime.backoff import KUBERNETES, Backoff

log = structlog.get_logger(__name__)

CHECK_S: Final = 10.0
"""Between two requests to the API server."""


class KindsChangedError(Exception):
    """The API server serves other kinds of Vigil than when kopf began to watch; the next process watches those."""


class ServedKinds:
    """The kinds that are served, compared with those at the start."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._at_start: set[Kind] = set()
        self.error = "not started yet"
        """For /readyz: which kinds are missing, or why that is not known; empty when all are served."""

    async def wait(self) -> None:
        """Wait until the API server responds; kopf is going to watch the kinds that it serves then."""
        backoff = Backoff(*KUBERNETES)
        while True:
            try:
                self._at_start = await self._fetch()
            except KubeError as error:
                self._set_error(f"the API server cannot be asked for Vigil's kinds: {error}")
                await asyncio.sleep(backoff.next_s())
            else:
                return

    async def watch(self) -> None:
        """Ask now and then until cancelled; KindsChangedError when it serves other kinds than at the start."""
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                kinds = await self._fetch()
            except KubeError as error:
                self._set_error(f"the API server cannot be asked for Vigil's kinds: {error}")
                continue
            if kinds != self._at_start:
                msg = (
                    f"the API server served {_names(self._at_start)} at the start and serves {_names(kinds)} now; "
                    "the process ends so that the next one watches these"
                )
                raise KindsChangedError(msg)

    async def _fetch(self) -> set[Kind]:
        served = await self._api.served()
        kinds = {kind for kind in OWN_KINDS if ADDRESSES[kind].plural in served}
        missing = set(OWN_KINDS) - kinds
        self._set_error(
            f"the API server has no {_names(missing)}; install the CRDs: kubectl apply -f crds/" if missing else ""
        )
        return kinds

    def _set_error(self, error: str) -> None:
        if error and error != self.error:
            log.warning(error)
        self.error = error


def _names(kinds: set[Kind]) -> str:
    addresses = [ADDRESSES[kind] for kind in sorted(kinds)]
    return ", ".join(f"{one.plural}.{one.group}" for one in addresses) or "none of Vigil's kinds"
