"""The last status of identity, shared by all reconciles and requested at most every ten seconds."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from vigil_contracts.registry import RegistryStatus
from vigil_runtime.registry.client import RegistryClient as Registry
from vigil_runtime.registry.errors import RegistryAwayError, RegistryError

FRESH_S: Final = 10.0
"""A response is used for so long, and so is a failure."""

NOT_CONFIGURED: Final = (
    "the operator has no address of the identity service; set VIGIL_REGISTRY_URL and VIGIL_REGISTRY_TOKEN (the chart "
    "does)"
)


class IdentityStatus:
    """The last status of identity.

    Parameters
    ----------
    registry
        None: the operator has none.
    model_changed
        Called when identity serves another recognition model than before.
    """

    def __init__(self, registry: Registry | None, model_changed: Callable[[], None]) -> None:
        self._registry = registry
        self._model_changed = model_changed
        self._last: RegistryStatus | RegistryError | None = None
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()
        self.model_id: str | None = None
        """The model that is served, as far as it is known."""

    async def status(self) -> RegistryStatus:
        """Return the status of identity; raise RegistryError when it does not answer."""
        async with self._asking:
            if time.monotonic() - self._asked_at >= FRESH_S or self._last is None:
                self._last = await self._fetch()
                self._asked_at = time.monotonic()
        if isinstance(self._last, RegistryError):
            raise self._last
        self._note(self._last.model_id)
        return self._last

    async def _fetch(self) -> RegistryStatus | RegistryError:
        if self._registry is None:
            return RegistryAwayError(NOT_CONFIGURED)
        try:
            return await self._registry.status()
        except RegistryError as error:
            return error

    def _note(self, model_id: str | None) -> None:
        before = self.model_id
        if model_id is not None and model_id != before:
            self.model_id = model_id
            if before is not None:
                self._model_changed()
