"""The last line and exit status of an operator that cannot go on."""

import socket

import pytest
from typer.testing import CliRunner

from vigil_operator import __main__, host
from vigil_operator.kube.lease import LeaseLostError
from vigil_operator.served_kinds import KindsChangedError
from vigil_operator.settings import Settings
from vigil_runtime.health import HealthServer, ListenError


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = HealthServer({})
        with pytest.raises(ListenError, match=rf"cannot listen on 127\.0\.0\.1:{port} \(.*in use\)"):
            await server.start("127.0.0.1", port)
        await server.close()


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ListenError("cannot listen on address 127.0.0.1:80"), __main__.EXIT_IO, "cannot listen"),
        (LeaseLostError("the Lease was lost"), __main__.EXIT_FAILED, "the Lease was lost"),
        (host.KopfEndedError("kopf cannot watch"), __main__.EXIT_UNAVAILABLE, "kopf cannot watch"),
        (KindsChangedError("the kinds are others"), __main__.EXIT_UNAVAILABLE, "the kinds are others"),
        (TimeoutError("the disk was slow"), 1, ""),
    ],
)
def test_each_error_ends_the_program_with_its_status(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, words: str
) -> None:
    async def serve(_: Settings) -> None:
        raise error

    monkeypatch.setattr(host, "serve", serve)
    done = CliRunner().invoke(__main__.app, ["run"])
    assert done.exit_code == status
    assert words in done.stderr
    assert ("address" in done.stderr) == isinstance(error, ListenError)
