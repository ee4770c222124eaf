"""The settings of a stream process from its environment, and its one Camera from a file."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic_settings import NoDecode

from vigil_contracts.resources import Camera, check
from vigil_runtime.settings import BusSettings, HttpSettings, SettingsError, load, split_list

MAX_MANIFEST_BYTES = 1 << 20


class Settings(BusSettings, HttpSettings):
    """Read from variables with the prefix VIGIL_."""

    triton_urls: Annotated[str, NoDecode] = "127.0.0.1:8001"
    """host:port of Triton's gRPC, in order of preference, with commas."""
    state_dir: Path
    """Journal of unsent events and open sightings; must outlive the process. The file `http.port` in it names the port
    of HTTP."""
    source_credentials_dir: Path | None = None
    """Folder with the files `username` and `password`."""
    shared_memory: Literal["auto", "off"] = "auto"
    """auto: frames reach a Triton on this machine through shared memory."""
    detector_side: Annotated[int, Field(ge=64, le=4096)] = 640
    """Longest side of the detector's input in pixels. Smaller is faster; larger finds smaller faces in large frames."""
    journal_max_bytes: Annotated[int, Field(ge=1 << 20)] = 256 << 20
    """About two hours of a busy camera."""
    journal_max_events: Annotated[int, Field(ge=100)] = 50_000
    shutdown_deadline_s: Annotated[float, Field(gt=0, le=300)] = 8.0
    """For closing sightings and sending the last events after SIGTERM; what remains is sent after the next start."""

    @property
    def triton_endpoints(self) -> list[str]:
        """The endpoints one by one."""
        return split_list(self.triton_urls)


def load_settings() -> Settings:
    """Return the settings from the environment; raise SettingsError that names each variable that is wrong."""
    settings = load(Settings)
    if not settings.triton_endpoints:
        msg = "VIGIL_TRITON_URLS: names no endpoint; set it to host:port of at least one Triton"
        raise SettingsError(msg)
    return settings


def load_camera(path: Path) -> Camera:
    """Return the Camera resource of a JSON or YAML file; raise SettingsError that lists all its faults."""
    try:
        text = path.read_bytes()[: MAX_MANIFEST_BYTES + 1].decode()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read: {error}"
        raise SettingsError(msg) from None
    if len(text) > MAX_MANIFEST_BYTES:
        msg = f"{path} is larger than {MAX_MANIFEST_BYTES >> 20} MiB; it must hold one Camera"
        raise SettingsError(msg)
    document = _parse(text, path)
    if not isinstance(document, dict):
        msg = f"{path} does not hold a Camera resource"
        raise SettingsError(msg)
    found = check(document)
    if isinstance(found, list):
        msg = f"{path}: " + "; ".join(f"{problem.where}: {problem.message}" for problem in found)
        raise SettingsError(msg)
    if not isinstance(found, Camera):
        msg = f"{path} holds a {document['kind']}; a Camera is expected"
        raise SettingsError(msg)
    return found


def _parse(text: str, path: Path) -> Any:  # noqa: ANN401 - plain data of any shape
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            msg = f"{path} is not JSON: {error}"
            raise SettingsError(msg) from None
    # Imported here: JSON, which the operator and `vigil up` write, does without these 4 MiB.
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: a date such as 2024-13-45.
        msg = f"{path} is not YAML: {error}"
        raise SettingsError(msg) from None
