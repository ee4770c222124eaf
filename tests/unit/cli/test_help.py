"""The command line as a user sees it: help everywhere, names of values, a version, completion in bash."""

import os
import subprocess
import sysconfig
from importlib.metadata import version

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from vigil_cli.app import app
from vigil_cli.commands.status_report import StatusReport

COMMANDS = ["up", "check", "watch", "status", "logs", "down", "doctor", "enroll", "try", "demo"]


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert done.exit_code == 0, done.output
    return done.output


def test_every_command_has_its_help_under_h() -> None:
    assert sorted(getattr(get_command(app), "commands", {})) == sorted(COMMANDS)
    for name in COMMANDS:
        assert shown(name, "-h") == shown(name, "--help")
    assert shown("-h") == shown("--help")


@pytest.mark.parametrize(
    "arguments", [[], *([name] for name in COMMANDS)], ids=lambda names: " ".join(names) or "vigil"
)
def test_help_names_values_instead_of_types(arguments: list[str]) -> None:
    text = shown(*arguments, "--help")

    for kind in ("<bool>", "<path>", "<str>", "<int>", "<float", "<list", "(dynamic)", "None"):
        assert kind not in text


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_described_in_one_line(name: str) -> None:
    summary = shown(name, "--help").split("Usage:")[1].splitlines()[2].strip()

    assert summary.endswith(".")
    assert len(summary) <= 76
    assert f"{summary}" in shown("--help")


def test_the_version_is_that_of_the_distribution() -> None:
    lines = shown("--version").splitlines()

    assert lines[0] == f"vigil {version('vigil-cli')}"
    assert lines[1].startswith("model pack open: yunet")


@pytest.mark.parametrize(
    ("line", "expected"),
    [("vigil st", ["status"]), ("vigil up --web", ["--webcam"]), ("vigil status --ou", ["--output"])],
)
def test_bash_completes_commands_and_options(line: str, expected: list[str]) -> None:
    script = (
        'eval "$(vigil --show-completion)"\n'
        f"COMP_WORDS=({line}); COMP_CWORD={len(line.split()) - 1}; _vigil_completion vigil\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"  # where the command is installed
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True, env={**os.environ, "PATH": path}
    )

    assert done.stdout.split() == expected, done.stderr


def test_the_fields_of_the_status_as_json_are_these() -> None:
    fields = {
        name: sorted(part.get("properties", {}))
        for name, part in StatusReport.model_json_schema(by_alias=True)["$defs"].items()
    }

    top = sorted(StatusReport.model_json_schema(by_alias=True)["properties"])
    assert top == [
        "apiUrl", "cameras", "error", "lookalikes", "pid", "processes", "sightings", "site", "subjects", "unapplied",
    ]  # fmt: skip
    assert fields == {
        "CameraReport": ["conditions", "heartbeat", "name", "namespace", "sourceType", "suspended"],
        "ConditionReport": ["message", "reason", "status", "type"],
        "CountersReport": ["framesLeftOut"],
        "HeartbeatReport": [
            "analysedFps", "capturedFps", "counters", "fitness", "fitnessMessage", "latencyP95Ms", "message", "reason",
            "stale", "state",
        ],
        "IdentityReport": ["reason", "similarity", "status", "subject"],
        "LookalikeReport": ["other", "similarity", "subject"],
        "PersonReport": ["displayName"],
        "PhotoReport": ["accepted", "message", "name", "reason"],
        "ProcessReport": ["name", "pid", "starts", "state"],
        "ResourceName": ["name", "namespace"],
        "SightingReport": ["camera", "id", "identity", "lastSeenAt", "openedAt", "state", "still"],
        "SubjectReport": ["active", "displayName", "enrolled", "name", "namespace", "photos", "why"],
        "UnappliedReport": ["file", "line", "reason", "resource"],
    }  # fmt: skip
