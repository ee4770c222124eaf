"""`vigil up`."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from vigil_cli.commands.check import load_all, summary
from vigil_cli.console import err, out, show_findings
from vigil_cli.errors import CommandError
from vigil_cli.manifests import Manifests
from vigil_cli.standalone.applier import applied_subjects
from vigil_cli.standalone.models import prepare
from vigil_cli.standalone.record import Record
from vigil_cli.standalone.run import for_seconds, run_session
from vigil_cli.standalone.servers.ports import check_host
from vigil_cli.standalone.session import Options, Session
from vigil_cli.standalone.state import StateFolder, check_path
from vigil_cli.view.preparation import show_preparation
from vigil_cli.view.screen import screen
from vigil_contracts.resources import Camera, Metadata, SourceType
from vigil_contracts.resources.camera import CameraSource, CameraSpec
from vigil_runtime.settings import IpNetwork, http_address, parse_networks

WEBCAM = Path("/dev/video0")
SHOWN_SUBJECTS = 10
DETACHED = "VIGIL_DETACHED"
"""Variable of the process in the background, whose output is a log."""
DETACH_TIMEOUT_S = 600
"""The first start fetches and exports the model pack."""


@dataclass(frozen=True, slots=True)
class UpRequest:
    """The options of `vigil up`."""

    paths: tuple[Path, ...]
    state: Path
    pack: str = "open"
    duration_s: float | None = None
    port: int | None = None
    host: str = "127.0.0.1"
    photo_networks: str = ""
    webcam: bool = False
    detach: bool = False
    plain: bool = False
    accept_licence: bool = False
    prune: bool = False
    """Erase Subjects of the last run that have no manifest any more."""

    def in_background(self) -> list[str]:
        """Return the arguments of the same request for a process without a terminal."""
        options: list[str] = ["up", "--plain", "--state", str(self.state), "--pack", self.pack, "--host", self.host]
        options += ["--photo-networks", self.photo_networks]
        for path in self.paths:
            options += ["-f", str(path)]
        if self.duration_s is not None:
            options += ["--duration", str(self.duration_s)]
        if self.port is not None:
            options += ["--port", str(self.port)]
        flags = {"--webcam": self.webcam, "--accept-licence": self.accept_licence, "--prune": self.prune}
        return options + [flag for flag, is_set in flags.items() if is_set]


def run(request: UpRequest) -> None:
    """Run until Ctrl-C, `vigil down` or the end of the duration.

    Raises
    ------
    CommandError, StartError, ManifestError
        Vigil cannot be started.
    """
    extra = (webcam(),) if request.webcam else ()
    taken = [camera.metadata.key for camera in extra]
    check_path(request.state, "state folder", "with --state")
    record = Record(request.state)
    manifests = Manifests() if extra and not request.paths else load_all(request.paths, taken, record.is_assessed)
    if not manifests.cameras and not extra:
        raise CommandError("The manifests declare no Camera; declare one, as those in samples/ do.")
    show_findings(manifests.warnings)
    check_host(request.host)
    networks = read_networks(request.photo_networks)
    check_qdrant(os.environ.get("VIGIL_QDRANT_URL", ""))
    state = StateFolder(request.state)
    if not request.prune:
        check_subjects(state, manifests)
    if request.detach:
        _detach(request)
        return
    state.create()
    with state.locked():
        with show_preparation(accept_licence=request.accept_licence) as observer:
            models = prepare(request.pack, observer)
        err.print(f"Running {summary(manifests)}{' and the webcam' if extra else ''}; state in {request.state}")
        options = Options(
            request.paths, extra_cameras=extra, port=request.port, host=request.host, photo_networks=networks
        )
        is_stored = DETACHED in os.environ
        with screen(out, state.logs / "up.log", plain=request.plain, is_stored=is_stored) as dashboard:
            run_session(Session(state, models, options, dashboard), manifests, for_seconds(request.duration_s))


def check_subjects(state: StateFolder, manifests: Manifests) -> None:
    """Raise CommandError when Subjects of the last run have no manifest: the start would erase them for ever."""
    missing = sorted(key for key in applied_subjects(state.applied) if key not in manifests.subjects)
    if not missing:
        return
    named = ", ".join(map(str, missing[:SHOWN_SUBJECTS])) + (", …" if len(missing) > SHOWN_SUBJECTS else "")
    count = "1 Subject that is" if len(missing) == 1 else f"{len(missing)} Subjects that are"
    raise CommandError(
        f"{count} enrolled in {state.root} would be erased, because no manifest declares them: {named}. Name their "
        "manifests with -f, choose another state folder with --state, or erase them with --prune."
    )


def check_qdrant(url: str) -> None:
    """Raise CommandError when the Qdrant server of the environment cannot be one; empty: none is used."""
    try:
        if url:
            http_address(url)
    except ValueError as error:
        raise CommandError(f"VIGIL_QDRANT_URL is {error}, or unset the variable.") from None


def read_networks(text: str) -> tuple[IpNetwork, ...]:
    """Return the networks of `--photo-networks`; raise CommandError when one is none."""
    try:
        return parse_networks(text)
    except ValueError as error:
        raise CommandError(
            f"--photo-networks (VIGIL_PHOTO_NETWORKS): {error}; write networks such as 10.20.0.0/16, with commas."
        ) from None


def webcam(device: Path = WEBCAM) -> Camera:
    """Return a Camera for the first USB camera of this machine.

    Raises
    ------
    CommandError
        It does not exist, or cannot be opened.
    """
    if not device.exists():
        raise CommandError(
            f"There is no USB camera at {device}; plug one in (in a virtual machine or container, pass it through)."
        )
    try:
        device.open("rb").close()
    except PermissionError:
        raise CommandError(f"{device} may not be opened by this user; add it to the group 'video'.") from None
    except OSError as error:
        raise CommandError(f"{device} cannot be opened ({error.strerror}); end the program that uses it.") from None
    source = CameraSource(type=SourceType.USB, url=str(device))
    return Camera(metadata=Metadata(name="webcam"), spec=CameraSpec(source=source))


def _detach(request: UpRequest) -> None:
    """Start the same command in a session of its own, and wait until it runs."""
    state = StateFolder(request.state)
    state.create()
    if state.is_locked:
        with state.locked():
            pass
    log = state.logs / "detached.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        process = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-P", "-m", "vigil_cli", *request.in_background()],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, DETACHED: "1"},
            start_new_session=True,
        )
    deadline = time.monotonic() + DETACH_TIMEOUT_S
    with err.status("Starting in the background"):
        while (running := state.running()) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                last = (log.read_text().strip().splitlines() or ["it wrote nothing"])[-1]
                raise CommandError(f"Vigil did not start: {last.removeprefix('vigil: ')}")
            time.sleep(0.2)
    out.print(
        f"Vigil runs in the background (pid {running.pid}). `{state.command('watch')}` shows sightings, "
        f"`{state.command('down')}` ends it."
    )
    out.print(f"GraphQL: {running.api_url}/graphql#token={state.secrets().api}")
