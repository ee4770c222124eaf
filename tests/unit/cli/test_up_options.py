"""`vigil up --detach` starts a process of its own with the same options."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from vigil_cli.app import app
from vigil_cli.commands import up
from vigil_cli.commands.up import UpRequest
from vigil_cli.errors import CommandError

TEXTS = st.text(st.characters(max_codepoint=0x2FF, exclude_characters="\0"), min_size=1, max_size=12)
PATHS = TEXTS.map(Path)
REQUESTS = st.builds(
    UpRequest,
    paths=st.lists(PATHS, max_size=3).map(tuple),
    state=PATHS,
    pack=TEXTS,
    duration_s=st.none() | st.floats(min_value=1, allow_infinity=False, allow_nan=False),
    port=st.none() | st.integers(1, 65535),
    host=TEXTS,
    photo_networks=TEXTS,
    webcam=st.booleans(),
    detach=st.just(True),
    plain=st.booleans(),
    accept_licence=st.booleans(),
    prune=st.booleans(),
)


def parsed(arguments: list[str]) -> UpRequest:
    """Return the request that the command line makes of these arguments."""
    requests: list[UpRequest] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(up, "run", requests.append)
        done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return requests[0]


@pytest.mark.parametrize(
    "url", ["nonsense", "http://", "http://q:0", "http://q:99999", "qdrant:6333", "http://[q", "http://a b"]
)
def test_a_qdrant_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(CommandError, match=r"^VIGIL_QDRANT_URL is not the address of a server; write one such as"):
        up.check_qdrant(url)


@pytest.mark.parametrize("url", ["", "http://qdrant:6333", "https://[::1]:6333/prefix"])
def test_a_qdrant_address_that_can_be_one_is_used(url: str) -> None:
    up.check_qdrant(url)


def test_networks_of_photos_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_PHOTO_NETWORKS", "10.20.0.0/16, fd00::/8")

    networks = up.read_networks(parsed(["up", "-f", "people"]).photo_networks)

    assert [str(network) for network in networks] == ["10.20.0.0/16", "fd00::/8"]


def test_a_wrong_network_of_photos_is_named() -> None:
    with pytest.raises(CommandError, match=r"--photo-networks .*10\.20\.0\.1/16 has host bits set"):
        up.read_networks("10.20.0.1/16")


@given(REQUESTS)
def test_the_detached_process_has_every_option_but_detach(request: UpRequest) -> None:
    assert parsed(request.in_background()) == replace(request, detach=False, plain=True)


@pytest.mark.parametrize(
    "given_as",
    [["-df", "people"], ["-d", "-f", "people"], ["-fpeople", "--detach"], ["--filename=people", "-d"]],
    ids=" ".join,
)
def test_detach_is_never_passed_on(given_as: list[str]) -> None:
    """The detached process does not have the option, in whichever form the user wrote it."""
    asked = parsed(["up", *given_as])

    assert asked.detach
    assert parsed(asked.in_background()) == replace(asked, detach=False, plain=True)
    assert asked.paths == (Path("people"),)
