"""What the programs are told by their environment."""

from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from vigil_contracts.ids import DNS_LABEL
from vigil_contracts.registry import MAX_PHOTO_BYTES, MAX_UPLOAD_BYTES


class SettingsError(Exception):
    """The environment is wrong; the message names each variable that is."""


class LogSettings(BaseSettings):
    """How a program tells what it does."""

    model_config = SettingsConfigDict(env_prefix="VIGIL_", frozen=True, use_attribute_docstrings=True)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"


class MigrateSettings(LogSettings):
    """For `vigil-gateway migrate`."""

    database_url: SecretStr
    """postgresql://user:password@host:port/database; a unix socket with ?host=/folder."""


class ProgramSettings(MigrateSettings):
    """What identity and api have in common."""

    site: Annotated[str, Field(pattern=f"^{DNS_LABEL.pattern}$")] = "default"
    """Name of the site; part of every subject on the bus."""
    nats_url: str = "nats://127.0.0.1:4222"
    nats_token: SecretStr | None = None
    http_host: str = "127.0.0.1"
    """In a pod: 0.0.0.0."""
    http_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """0: chosen by the system, and logged."""
    token: Annotated[SecretStr, Field(min_length=1)]
    """Bearer token: of the registry for identity, of the clients for api."""


class ApiSettings(ProgramSettings):
    """For `vigil-gateway api`."""


class IdentitySettings(ProgramSettings):
    """For `vigil-gateway identity`."""

    triton_urls: Annotated[str, NoDecode] = "127.0.0.1:8001"
    """host:port of Triton's gRPC, in order of preference, with commas."""
    qdrant_url: str | None = None
    """Address of a Qdrant server; needed when more than one identity runs."""
    qdrant_api_key: SecretStr | None = None
    qdrant_path: Path | None = None
    """Folder of the embedded gallery; one identity at a time."""
    inference_deadline_s: Annotated[float, Field(gt=0, le=120)] = 20.0
    """For one call during enrolment: a photo may wait behind live frames."""
    max_photo_bytes: Annotated[int, Field(ge=1024)] = MAX_PHOTO_BYTES
    """Of one photo."""
    max_upload_bytes: Annotated[int, Field(ge=1024)] = MAX_UPLOAD_BYTES
    """Of one request to the registry, ten photos and the Subject."""
    shutdown_s: Annotated[float, Field(gt=0, le=300)] = 8.0
    """From SIGTERM to the end, for what is being done to be finished."""

    @property
    def triton_endpoints(self) -> list[str]:
        """The endpoints one by one."""
        return [url.strip() for url in self.triton_urls.split(",") if url.strip()]

    @model_validator(mode="after")
    def _one_gallery(self) -> Self:
        if (self.qdrant_url is None) == (self.qdrant_path is None):
            msg = "set either VIGIL_QDRANT_URL (a server) or VIGIL_QDRANT_PATH (a folder, embedded)"
            raise ValueError(msg)
        if not self.triton_endpoints:
            msg = "VIGIL_TRITON_URLS names no endpoint; give host:port of at least one Triton"
            raise ValueError(msg)
        return self


Settings = TypeVar("Settings", bound=LogSettings)


def load(kind: type[Settings]) -> Settings:
    """Read the environment; SettingsError names each variable that is wrong, never its value."""
    try:
        return kind()
    except ValidationError as error:
        told = [
            f"VIGIL_{'_'.join(map(str, d['loc'])).upper()}: {d['msg']}"
            if d["loc"]
            else d["msg"].removeprefix("Value error, ")
            for d in error.errors(include_input=False)
        ]
        raise SettingsError("; ".join(told)) from None
