"""The scripts that the chart runs in its pods do what their names say, against real servers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.chart.rendering import CHART
from tests.support.servers import PostgresServer

SCRIPT = (CHART / "files" / "wait_for_database.py").read_text()
END_S = 60


@contextmanager
def waiting(url: str, for_what: str, deadline_s: int = 600) -> Iterator["subprocess.Popen[str]"]:
    environment = {**os.environ, "VIGIL_DATABASE_URL": url, "DEADLINE_S": str(deadline_s)}
    command = [sys.executable, "-c", SCRIPT, for_what]
    with subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def migrate(url: str) -> None:
    environment = {**os.environ, "VIGIL_DATABASE_URL": url}
    subprocess.run([sys.executable, "-m", "vigil_gateway", "migrate"], env=environment, check=True, timeout=END_S)


@pytest.mark.integration
async def test_pods_wait_for_the_schema_and_not_only_for_the_database(shared_postgres: PostgresServer) -> None:
    url = await shared_postgres.new_database()
    with waiting(url, "schema") as process:
        assert process.stdout
        assert "SchemaError: the database has no Vigil schema yet" in process.stdout.readline()
        with waiting(url, "database") as other:
            assert other.wait(END_S) == 0, "the database itself is there"
        assert process.poll() is None
        migrate(url)
        assert process.wait(END_S) == 0


@pytest.mark.integration
def test_waiting_for_a_database_never_prints_the_password() -> None:
    """A database that does not respond is waited for, and each reason is printed without the password."""
    with waiting("postgresql://vigil:secret@127.0.0.1:9/vigil", "database", deadline_s=2) as process:
        out, err = process.communicate(timeout=END_S)
    assert "waiting: ConnectionRefusedError" in out
    assert "gave up after 2 s" in err
    assert process.returncode == 1
    assert "secret" not in out + err
