"""Settings: one kind of error, which names each variable that is wrong and never a value."""

from typing import Annotated

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from vigil_runtime.settings import BusSettings, HttpSettings, SettingsError, load, split_list


class Settings(BusSettings, HttpSettings):
    """As a program declares them."""

    token: SecretStr
    limits: dict[str, int] = {}
    workers: Annotated[int, Field(ge=1)] = 4


def test_a_variable_that_is_empty_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_TOKEN", "long and random")
    monkeypatch.setenv("VIGIL_NATS_TOKEN", "")
    monkeypatch.setenv("VIGIL_SITE", "")
    settings = load(Settings)
    assert (settings.site, settings.bus_credentials.token, settings.http_port) == ("default", None, 0)


def test_every_wrong_variable_is_named_and_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SITE": "Not A Label", "WORKERS": "tulip", "HTTP_PORT": "70000"}.items():
        monkeypatch.setenv(f"VIGIL_{name}", value)
    with pytest.raises(SettingsError) as raised:
        load(Settings)
    for name in ("VIGIL_SITE", "VIGIL_WORKERS", "VIGIL_HTTP_PORT", "VIGIL_TOKEN"):
        assert f"{name}: " in str(raised.value)
    assert "tulip" not in str(raised.value)
    assert "Not A Label" not in str(raised.value)


class Limits(BaseSettings):
    """As the API has them, with a prefix of its own."""

    model_config = SettingsConfigDict(env_prefix="VIGIL_API_")

    depth: Annotated[int, Field(ge=1)] = 12
    origins: list[str] = []


@pytest.mark.parametrize(("name", "value"), [("VIGIL_API_DEPTH", "0"), ("VIGIL_API_ORIGINS", "tulip")])
def test_a_prefix_of_its_own_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name}: "):
        load(Limits)


def test_a_variable_that_is_not_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_TOKEN", "t")
    monkeypatch.setenv("VIGIL_LIMITS", "{tulip")
    with pytest.raises(SettingsError, match="VIGIL_LIMITS: not JSON") as raised:
        load(Settings)
    assert "tulip" not in str(raised.value)


@pytest.mark.parametrize(("text", "parts"), [("", []), (" a , ,b,", ["a", "b"]), ("one", ["one"])])
def test_a_list_is_split_at_commas(text: str, parts: list[str]) -> None:
    assert split_list(text) == parts
