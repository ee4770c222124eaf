"""What the installation says of the registry and of photos, beside the operator's own settings."""

import ipaddress
from typing import Annotated

import structlog
from pydantic import Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from vigil_operator.registry.download import IpNetwork

log = structlog.get_logger(__name__)


class PhotoSettings(BaseSettings):
    """Read from variables with the prefix VIGIL_."""

    model_config = SettingsConfigDict(
        env_prefix="VIGIL_", frozen=True, env_ignore_empty=True, use_attribute_docstrings=True
    )

    photo_networks: Annotated[str, NoDecode] = ""
    """Networks such as 10.20.0.0/16, with commas, from which photos are fetched although they are private."""
    photos_at_once: Annotated[int, Field(ge=1, le=16)] = 2
    """Subjects whose photos are held in memory at the same time: up to 200 MiB each."""

    @property
    def networks(self) -> tuple[IpNetwork, ...]:
        """The networks one by one; what is none is left out and logged, so that a slip forbids instead of allowing."""
        found: list[IpNetwork] = []
        for part in (part.strip() for part in self.photo_networks.split(",")):
            try:
                found += [ipaddress.ip_network(part)] if part else []
            except ValueError as error:
                log.error("VIGIL_PHOTO_NETWORKS names something that is no network; left out", reason=str(error))  # noqa: TRY400 - a slip of the pen needs no traceback
        return tuple(found)
