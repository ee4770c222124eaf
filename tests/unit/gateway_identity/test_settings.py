import pytest

from vigil_gateway.settings import ApiSettings, IdentitySettings, MigrateSettings
from vigil_runtime.settings import SettingsError, load

NEEDED = {"DATABASE_URL": "postgresql://u:p-secret@h/d", "TOKEN": "t-secret", "QDRANT_PATH": "/q"}


def set_environment(monkeypatch: pytest.MonkeyPatch, **variables: str | None) -> None:
    for name in ("SITE", "NATS_URL", "NATS_TOKEN", "QDRANT_URL", "TRITON_URLS", "HTTP_PORT", *NEEDED):
        monkeypatch.delenv(f"VIGIL_{name}", raising=False)
    for name, value in {**NEEDED, **variables}.items():
        if value is not None:
            monkeypatch.setenv(f"VIGIL_{name}", value)


def test_the_required_variables_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, TRITON_URLS="a:8001, b:8001,")
    settings = load(IdentitySettings)
    assert settings.triton_endpoints == ["a:8001", "b:8001"]
    assert "secret" not in repr(settings)
    assert load(ApiSettings).site == "default"
    assert load(MigrateSettings).log_format == "json"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"TOKEN": None}, "VIGIL_TOKEN"),
        ({"TOKEN": ""}, "VIGIL_TOKEN"),
        ({"DATABASE_URL": None}, "VIGIL_DATABASE_URL"),
        ({"SITE": "No Label"}, "VIGIL_SITE"),
        ({"HTTP_PORT": "99999"}, "VIGIL_HTTP_PORT"),
        ({"QDRANT_PATH": None}, "either VIGIL_QDRANT_URL"),
        ({"QDRANT_URL": "http://q:6333"}, "either VIGIL_QDRANT_URL"),
        ({"QDRANT_PATH": None, "QDRANT_URL": "nonsense"}, "VIGIL_QDRANT_URL"),
        ({"QDRANT_PATH": None, "QDRANT_URL": "http://q:99999"}, "VIGIL_QDRANT_URL"),
        ({"TRITON_URLS": " , "}, "VIGIL_TRITON_URLS"),
        ({"SIGHTING_RETENTION": "for ever"}, "VIGIL_SIGHTING_RETENTION"),
        ({"SIGHTING_RETENTION": "0d"}, "VIGIL_SIGHTING_RETENTION"),
    ],
)
def test_each_invalid_variable_is_named_and_no_value(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str | None], words: str
) -> None:
    set_environment(monkeypatch, **variables)
    with pytest.raises(SettingsError) as caught:
        load(IdentitySettings)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
