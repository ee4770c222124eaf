"""state-folder-with-space: any folder that can be named in text is used, and others are refused at once."""

import os
from pathlib import Path

import pytest

from vigil_cli.commands.doctor import examine
from vigil_cli.commands.up import UpRequest, run
from vigil_cli.errors import CommandError
from vigil_cli.preparation import PreparationObserver
from vigil_cli.standalone.models import prepare
from vigil_cli.standalone.programs import Addresses, Programs
from vigil_cli.standalone.servers import nats, postgres, triton
from vigil_cli.standalone.servers.triton import TritonPorts
from vigil_cli.standalone.state import LONGEST_PATH, Secrets, StateFolder
from vigil_runtime.bus_authority import BusAuthority

NO_TEXT = ["a\nb", "a\x1b[2Jb", "a\u202eb", os.fsdecode(b"caf\xe9")]
HOSTILE = ["my state", "it's", 'a"b', "a;touch INJECTED;#", "$(touch INJECTED)", "-x", "é", "a\\b", "%s{}"]


@pytest.mark.parametrize("name", NO_TEXT)
def test_a_folder_whose_name_is_no_text_is_refused_at_once(name: str, tmp_path: Path) -> None:
    state = tmp_path / name
    with pytest.raises(CommandError, match=r"no text, such as a line break; choose another with --state\.$"):
        run(UpRequest((tmp_path,), state))
    with pytest.raises(CommandError, match=r"choose another with the variable VIGIL_CACHE_DIR\.$"):
        prepare("open", OBSERVER, state)
    finding = next(one for one in examine(state) if one.name == "state folder")
    assert finding.mark == "missing"
    assert not state.exists()


OBSERVER = PreparationObserver(step=lambda _: None, progress=lambda *_: None, accept=lambda _: False)


def test_a_path_that_postgres_cannot_take_is_refused(tmp_path: Path) -> None:
    long = tmp_path.joinpath(*["a" * 200] * 4)
    with pytest.raises(CommandError, match=f"bytes, and {LONGEST_PATH} are possible; choose another with --state"):
        StateFolder(long).create()


@pytest.mark.parametrize("name", HOSTILE)
def test_no_path_is_in_a_command_line_that_a_shell_may_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers have it as their working folder only; our own programs get absolute paths, which are no options."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(postgres, "initialise", lambda *_: None)
    root, models = Path(name), tmp_path / "models" / name
    (models / "face_detection").mkdir(parents=True)
    (models / "face_detection" / "config.pbtxt").touch()
    specs = [
        nats.nats(root / "nats", 1, nats.token_for_all("token")),
        postgres.postgres(root / "postgres", 2, "password"),
        triton.triton(root / "triton", models, TritonPorts(3, 4, 5)),
    ]
    for spec in specs:
        assert not [argument for argument in spec.argv if name in argument], spec.argv
        assert spec.cwd == tmp_path / root / spec.name
    assert name not in (root / "nats" / "nats.conf").read_text()
    identity = Programs(root, "hq", Addresses(1, "", (), 1, 1), Secrets("", "", ""), BusAuthority.new()).identity()
    assert identity.env["VIGIL_QDRANT_PATH"] == str(tmp_path / root / "qdrant")
