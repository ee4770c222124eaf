"""Settings of the programs: read from variables with the prefix VIGIL_, with one kind of error."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as UnreadableError

from vigil_contracts.ids import DNS_LABEL
from vigil_contracts.text import holds_refused
from vigil_runtime.bus_address import BusAddress, BusCredentials

PREFIX: Final = "VIGIL_"

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(Exception):
    """The environment or a file that it names is wrong; the message lists each fault."""


class ProgramSettings(BaseSettings):
    """The settings of every program. A variable that is set and empty counts as not set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, env_ignore_empty=True, use_attribute_docstrings=True
    )

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"


class BusSettings(ProgramSettings):
    """For a program that connects to NATS."""

    site: Annotated[str, Field(pattern=f"^{DNS_LABEL.pattern}$")] = "default"
    """Name of the Site; part of every subject on the bus."""
    nats_url: str = "nats://127.0.0.1:4222"
    nats_credentials: Path | None = None
    """A credentials file of NATS, read again for each connection."""
    nats_user: str | None = None
    nats_password: SecretStr | None = None
    nats_token: SecretStr | None = None
    """For a server with one token for all; ignored beside a credentials file or a user."""

    @property
    def bus_credentials(self) -> BusCredentials:
        """How this program presents itself to NATS."""
        password, token = _plain(self.nats_password), _plain(self.nats_token)
        return BusCredentials(self.nats_credentials, self.nats_user, password, token)

    @property
    def bus_address(self) -> BusAddress:
        """The bus of the site."""
        return BusAddress(self.nats_url, self.bus_credentials, self.site)


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


class HttpSettings(ProgramSettings):
    """For a program that serves HTTP, probes and metrics among it."""

    http_host: str = "127.0.0.1"
    """In a pod: 0.0.0.0, for the kubelet's probes."""
    http_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """0: chosen by the system, and logged."""


Settings = TypeVar("Settings", bound=BaseSettings)


def load(kind: type[Settings]) -> Settings:
    """Return the settings from the environment.

    Raises
    ------
    SettingsError
        The message names every variable that is wrong, and never the value of one.
    """
    prefix = kind.model_config.get("env_prefix", PREFIX)
    try:
        return kind()
    except UnreadableError as error:
        field = re.search(r'field "(\w+)"', str(error))
        variable = f"{prefix}{field[1].upper()}" if field else "a variable"
        msg = f"{variable}: not JSON; set it to a JSON value"
        raise SettingsError(msg) from None
    except ValidationError as error:
        faults = [
            f"{prefix}{'_'.join(map(str, d['loc'])).upper()}: {d['msg']}"
            if d["loc"]
            else d["msg"].removeprefix("Value error, ")
            for d in error.errors(include_input=False)
        ]
        raise SettingsError("; ".join(faults)) from None


def split_list(text: str) -> list[str]:
    """Return the parts of a text with commas, without spaces and empty parts."""
    return [part.strip() for part in text.split(",") if part.strip()]


def http_address(text: str) -> str:
    """Return the address of an HTTP server, such as `http://qdrant:6333`; raise ValueError when it is none."""
    msg = "not the address of a server; write one such as http://qdrant:6333"
    try:
        parts = urlsplit(text)
        is_server = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an impossible port, or brackets without an address
        raise ValueError(msg) from None
    if not is_server or holds_refused(text) or " " in text:
        raise ValueError(msg)
    return text


def parse_networks(text: str) -> tuple[IpNetwork, ...]:
    """Return the networks of a text with commas, such as `10.20.0.0/16,fd00::/8`; raise ValueError."""
    return tuple(ipaddress.ip_network(part) for part in split_list(text))
