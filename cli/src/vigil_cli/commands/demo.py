"""`vigil demo`."""

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from vigil_cli.client import ApiRefusedError
from vigil_cli.client.documents import EXAMPLE
from vigil_cli.console import Line, err, out, show_findings
from vigil_cli.dashboard import DashboardState
from vigil_cli.demo.evaluation import Evaluator, GroundTruth
from vigil_cli.demo.film import ensure_films
from vigil_cli.demo.people import ENROLLED, PEOPLE
from vigil_cli.demo.photos import credits_of_photos, ensure_photos
from vigil_cli.demo.report import print_evaluation
from vigil_cli.demo.scene import SCENES, SECONDS
from vigil_cli.demo.site import DemoSite, build_site, wanted_films
from vigil_cli.errors import CommandError
from vigil_cli.manifests import load
from vigil_cli.standalone.models import Models, prepare
from vigil_cli.standalone.programs import stream_name
from vigil_cli.standalone.run import run_session
from vigil_cli.standalone.servers import go2rtc
from vigil_cli.standalone.session import Options, Session
from vigil_cli.standalone.state import StateFolder
from vigil_cli.supervisor import StartError
from vigil_cli.view.preparation import show_preparation
from vigil_cli.view.screen import screen
from vigil_models import api as models_api

PACK = "open"
GROUND_TRUTH = GroundTruth(
    enrolled={person.key: person.name for person in PEOPLE if person.enrolled},
    strangers={person.key: person.name for person in PEOPLE if not person.enrolled},
    cameras={scene.name: scene.people for scene in SCENES},
)


def run(duration: float | None, state: Path, *, plain: bool, seed: int) -> None:
    """Run the demo until Ctrl-C, or for a time and with an evaluation.

    Raises
    ------
    CommandError, StartError
        It cannot be started; or, with a duration, an enrolled person was not recognised or another one was named.
    """
    began = time.monotonic()
    folder = StateFolder(state)
    folder.create()
    with folder.locked():
        models, site = _prepare(folder.root, seed)
        manifests = load([site.folder])
        show_findings(manifests.warnings)
        err.print(f"Starting Vigil with {len(manifests.cameras)} cameras; state in {folder.root}")
        with screen(out, folder.logs / "demo.log", plain=plain) as dashboard:
            session = Session(folder, models, Options([site.folder], extra_processes=site.processes), dashboard)
            watcher = _Watcher(dashboard, folder.root, duration)
            run_session(session, manifests, watcher.watch)
    _conclude(watcher, began, duration)


def _prepare(root: Path, seed: int) -> tuple[Models, DemoSite]:
    """Prepare models, photos, films and servers; show the progress."""
    cache = models_api.cache_dir()
    with show_preparation() as observer:
        photos = ensure_photos(cache, observer)
    with ThreadPoolExecutor(1) as pool:
        server: Future[Path] = pool.submit(go2rtc.build)  # at the same time; mostly it waits for the network
        with show_preparation() as observer:
            models = prepare(PACK, observer)
        for line in credits_of_photos():
            err.print(Line(f"  Photo {line}", "dim"))
        expected = not (server.done() and server.exception())  # without Go it fails at once
        films = _compose(cache, photos, seed, rtsp=expected)
        rtsp = _wait_for_rtsp(server)
    if rtsp != expected:
        films = _compose(cache, photos, seed, rtsp=rtsp)
    return models, build_site(root, films, photos, rtsp=rtsp)


def _compose(cache: Path, photos: dict[str, Path], seed: int, *, rtsp: bool) -> dict[str, Path]:
    """Return the film of each camera."""
    wanted = wanted_films(rtsp=rtsp)
    with _progress("Composing the cameras' scenes") as progress:
        films = ensure_films(cache, photos, list(wanted.values()), seed, progress)
    return {name: films[want] for name, want in wanted.items()}


def _wait_for_rtsp(server: "Future[Path]") -> bool:
    """Return whether there is an RTSP server; without one, the third camera is of another type."""
    try:
        with err.status("Building go2rtc, the RTSP server (once; about a minute)"):
            server.result()
    except StartError as error:
        err.print(Line(f"There is no RTSP server, so the third camera sends over a TCP socket: {error}", "yellow"))
        return False
    return True


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar from the first call on."""
    share = TextColumn("{task.percentage:.0f} %")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        share,
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err) as bars:
        task = None

        def progress(done: int, total: int) -> None:
            nonlocal task
            if task is None:
                task = bars.add_task(title, total=total)
            bars.update(task, completed=done)

        yield progress


@dataclass(slots=True)
class _Watcher:
    """A GraphQL subscriber from the start of the cameras.

    Attributes
    ----------
    started
        Start of the cameras on the monotonic clock; None: they did not start.
    ended
        Whether the whole duration is over.
    errors
        The error of each camera that did not stream at the end.
    """

    dashboard: DashboardState
    root: Path
    duration: float | None
    evaluator: Evaluator = field(default_factory=lambda: Evaluator(GROUND_TRUTH, dt.datetime.now(dt.UTC)))
    started: float | None = None
    ended: bool = False
    errors: list[str] = field(default_factory=list)

    async def watch(self, session: Session) -> None:
        """Receive events until the duration is over; without one, for ever."""
        self.started = time.monotonic()
        self.evaluator.since = dt.datetime.now(dt.UTC)
        self._show_examples()
        try:
            async with asyncio.timeout(self.duration) as limit:
                await self._listen(session, self.started)
        except TimeoutError:
            if not limit.expired():
                raise
            self.ended = True
        except ApiRefusedError as error:
            raise CommandError(f"The API refuses the demo's subscription: {error}") from None
        finally:
            self.errors = _camera_errors(self.dashboard)
            self.dashboard.notices.clear()

    async def _listen(self, session: Session, started: float) -> None:
        async with aclosing(session.api.sightings()) as events:
            async for event in events:
                self.evaluator.add_event(event, time.monotonic() - started)
                missing = [person.name for person in ENROLLED if person.key not in self.evaluator.recognised]
                line = f"still to come: {', '.join(missing)}" if missing else "all enrolled people were recognised"
                self.dashboard.notices["demo"] = ("info" if missing else "good", f"Demo: {line}")

    def _show_examples(self) -> None:
        """Show how to subscribe from outside."""
        lines = (
            "The GraphQL address opens in a browser with a ready subscription: press Run. Elsewhere, send",
            f"  {EXAMPLE}",
        )
        for number, line in enumerate(lines):
            self.dashboard.notices[f"example {number}"] = ("dim", line)
            self.dashboard.emit("info", line)


def _camera_errors(dashboard: DashboardState) -> list[str]:
    """Return why cameras do not stream, which explains a failed evaluation best."""
    found = []
    for key, row in dashboard.cameras.items():
        if row.state == "Streaming" and not row.stale:
            continue
        process = dashboard.processes.get(stream_name(key))
        last = process.last_line if process is not None and process.state != "Ready" else ""
        found.append(f"camera {key.name} does not stream ({row.message or last or row.state})")
    return found


def _conclude(watcher: _Watcher, began: float, duration: float | None) -> None:
    """Print the evaluation; raise CommandError when a complete run did not pass."""
    if watcher.started is None:
        raise CommandError("The demo was ended before its cameras had started; give it more time with --duration.")
    evaluation = watcher.evaluator.evaluate()
    print_evaluation(out, evaluation, preparing_s=watcher.started - began)
    if duration is None:
        return
    if not watcher.ended:
        raise CommandError(
            "The demo was ended before its time was over, so there is no evaluation; let it run to its end."
        )
    if not evaluation.passed:
        short = f" (a scene takes {SECONDS} s: allow at least {2 * SECONDS})" if duration < 2 * SECONDS else ""
        raise CommandError(f"The demo failed: {'; '.join([*watcher.errors, *evaluation.problems])}{short}.")
    out.print(Line("All enrolled people were recognised, and no other name appeared.", "bold green"))
