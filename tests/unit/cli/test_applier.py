"""Subjects are enrolled with the model that is served, whatever it was when they were put."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.support.waiting import eventually

from vigil_cli.manifests import load
from vigil_cli.standalone import applier
from vigil_cli.standalone.applier import Applier, Listener
from vigil_cli.standalone.desired import desired
from vigil_cli.standalone.programs import Addresses, Programs
from vigil_cli.standalone.registry import Registry
from vigil_cli.standalone.state import Secrets
from vigil_cli.standalone.supervisor import Supervisor
from vigil_contracts.registry import EnrolmentReport

PHOTO = b"a photo"
SHA = hashlib.sha256(PHOTO).hexdigest()
SUBJECTS = f"""
apiVersion: vigil.dev/v1alpha1
kind: Subject
metadata: {{name: ada}}
spec: {{displayName: Ada, consent: {{status: Granted}}, photos: [{{name: a, url: "file:a.jpg", sha256: {SHA}}}]}}
---
apiVersion: vigil.dev/v1alpha1
kind: Subject
metadata: {{name: bob}}
spec: {{displayName: Bob, consent: {{status: Withdrawn}}, photos: [{{name: a, url: "file:a.jpg", sha256: {SHA}}}]}}
"""


class Identity(ThreadingHTTPServer):
    """Answers as identity's registry does: with the model that it works with at that moment."""

    model_id = "old@1"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.put: list[tuple[str, str]] = []
        self.asked = 0


class Answers(BaseHTTPRequestHandler):
    server: Identity

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        name, model = self.path.rsplit("/", 1)[-1], self.server.model_id
        self.server.put.append((name, model))
        consent = name != "bob"
        self.answer(
            {
                "subjectId": "01890a5d-ac96-774b-bcce-b302099a8057",
                "enrolled": consent,
                "reason": "Enrolled" if consent else "ConsentNotGranted",
                "modelId": model if consent else None,
            }
        )

    def do_GET(self) -> None:
        counts = {"cameras": 0, "subjects": 2, "vectors": 1, "lastSeq": 0, "rejectedEvents": 0}
        self.answer({**counts, "modelId": self.server.model_id})
        self.server.asked += 1

    def answer(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def identity() -> Iterator[Identity]:
    with Identity() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_subjects_are_put_again_when_another_model_is_served(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applier, "MODEL_LOOK_S", 0.01)
    (tmp_path / "a.yaml").write_text(SUBJECTS)
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    heard: list[EnrolmentReport] = []
    listener = Listener(lambda _, report: heard.append(report), lambda *_: None, lambda _: None)
    programs = Programs(tmp_path, "hq", Addresses(1, "", (), 1, 1), Secrets("", "", "", ""))
    async with Registry(f"http://127.0.0.1:{identity.server_port}", "token") as registry:
        made = Applier(registry, Supervisor(tmp_path), programs, tmp_path / "applied.json", listener)
        made.want(desired(load([tmp_path]), "new@1"))
        tasks = [asyncio.create_task(made.run()), asyncio.create_task(made.follow_model())]
        await eventually(lambda: len(heard) == 2, 10, "both were put")
        before = identity.asked
        await eventually(lambda: identity.asked > before + 3, 10, "the model was asked for")
        assert len(identity.put) == 2

        identity.model_id = "new@1"

        await eventually(lambda: ("ada", "new@1") in identity.put, 10, "she is put again")
        before = identity.asked
        await eventually(lambda: identity.asked > before + 3, 10, "the model was asked for")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert sorted(identity.put) == [("ada", "new@1"), ("ada", "old@1"), ("bob", "old@1")]
