"""What the installation says of the registry and of photos, beside the operator's own settings."""

import ipaddress
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from vigil_operator.registry.download import IpNetwork


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
        """The networks one by one; ValueError names one that is none."""
        return tuple(ipaddress.ip_network(part.strip()) for part in self.photo_networks.split(",") if part.strip())
