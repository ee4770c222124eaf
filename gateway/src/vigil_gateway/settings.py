"""The settings of the gateway's programs, from variables with the prefix VIGIL_."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from vigil_contracts.registry import MAX_PHOTO_BYTES, MAX_UPLOAD_BYTES
from vigil_contracts.resources.common import parse_duration
from vigil_runtime.settings import BusSettings, HttpSettings, ProgramSettings, http_address, split_list


def longer_than_nothing(duration: str) -> str:
    """Return a Duration as it is; raise ValueError when it is none, or nothing."""
    if not parse_duration(duration):
        msg = f"{duration!r} would keep nothing; set it to a duration such as 90d"
        raise ValueError(msg)
    return duration


class MigrateSettings(ProgramSettings):
    """For `vigil-gateway migrate`."""

    database_url: SecretStr
    """postgresql://user:password@host:port/database; a unix socket with ?host=/folder."""


class ServerSettings(MigrateSettings, BusSettings, HttpSettings):
    """The settings that identity and api have in common."""

    token: Annotated[SecretStr, Field(min_length=1)]
    """Bearer token: of the registry for identity, of the clients for api."""


class ApiSettings(ServerSettings):
    """For `vigil-gateway api`."""

    metrics_token: Annotated[SecretStr, Field(min_length=1)] | None = None
    """Bearer token that may read /metrics and nothing else; `token` may, too."""


class IdentitySettings(ServerSettings):
    """For `vigil-gateway identity`."""

    triton_urls: Annotated[str, NoDecode] = "127.0.0.1:8001"
    """host:port of Triton's gRPC, in order of preference, with commas."""
    qdrant_url: Annotated[str, AfterValidator(http_address)] | None = None
    """Address of a Qdrant server; needed when more than one identity runs."""
    qdrant_grpc_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port of the Qdrant server's gRPC, which is faster, usually 6334; HTTP is used without it."""
    qdrant_api_key: SecretStr | None = None
    qdrant_path: Path | None = None
    """Folder of the embedded gallery; one identity at a time."""
    inference_deadline_s: Annotated[float, Field(gt=0, le=120)] = 20.0
    """For one call during enrolment: a photo may wait behind live frames."""
    max_photo_bytes: Annotated[int, Field(ge=1024)] = MAX_PHOTO_BYTES
    """Largest size of one photo."""
    max_upload_bytes: Annotated[int, Field(ge=1024)] = MAX_UPLOAD_BYTES
    """Largest size of one request to the registry: ten photos and the Subject."""
    sighting_retention: Annotated[str, AfterValidator(longer_than_nothing)] = "90d"
    """How long sightings are kept where neither the Camera nor its Site has `spec.retention.sightings`: a Duration."""
    shutdown_s: Annotated[float, Field(gt=0, le=300)] = 8.0
    """From SIGTERM to the end, for what is being done to be finished."""

    @property
    def triton_endpoints(self) -> list[str]:
        """The addresses in `triton_urls`."""
        return split_list(self.triton_urls)

    @model_validator(mode="after")
    def _one_gallery(self) -> Self:
        if (self.qdrant_url is None) == (self.qdrant_path is None):
            msg = "set either VIGIL_QDRANT_URL (a server) or VIGIL_QDRANT_PATH (a folder, embedded)"
            raise ValueError(msg)
        if not self.triton_endpoints:
            msg = "VIGIL_TRITON_URLS names no endpoint; set it to host:port of at least one Triton"
            raise ValueError(msg)
        return self
