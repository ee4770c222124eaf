"""Names of erased people are removed from logs, while programs append to them."""

import asyncio
from pathlib import Path

from tests.support.waiting import eventually

from vigil_cli.standalone.redaction import LogRedactor, names_of, redact
from vigil_contracts.ids import ResourceKey

KEY = ResourceKey("default", "renee-o-hara")
NAMES = names_of(KEY, "Renée O'Hara")


def test_names_are_overwritten_in_all_logs_and_all_forms(tmp_path: Path) -> None:
    (tmp_path / "up.log").write_text("x default/renee-o-hara enrolled: photos/renee-o-hara.jpg, Renée O'Hara\n")
    (tmp_path / "up.log.1").write_text('{"event": "Ren\\u00e9e O\'Hara", "camera": "default_renee-o-hara"}\n')
    (tmp_path / "empty.log").touch()
    (tmp_path / "other.log").write_text("default/renee-o-hara-2 and default/renee-o-harald stay\n")

    redact(tmp_path, NAMES)

    text = (tmp_path / "up.log").read_text() + (tmp_path / "up.log.1").read_text()
    assert "hara" not in text.lower()
    assert "Ren" not in text
    assert text.startswith("x " + "*" * len("default/renee-o-hara") + " enrolled: photos/")
    assert (tmp_path / "other.log").read_text() == "default/renee-o-hara-2 and default/renee-o-harald stay\n"


def test_a_short_name_alone_spoils_no_words(tmp_path: Path) -> None:
    (tmp_path / "up.log").write_text("default/a is a Subject\n")
    redact(tmp_path, names_of(ResourceKey("default", "a"), "A"))
    assert (tmp_path / "up.log").read_text() == "********* is a Subject\n"


async def test_late_lines_about_an_erasure_are_redacted_too(tmp_path: Path) -> None:
    log = tmp_path / "identity.log"
    redactor = LogRedactor(tmp_path)
    task = asyncio.create_task(redactor.run())
    with log.open("a", buffering=1) as file:
        file.write("first default/renee-o-hara\n")
        redactor.add(NAMES)
        await eventually(lambda: "renee" not in log.read_text(), 10, "the name is gone")
        file.write("late default/renee-o-hara\n")
        await eventually(lambda: "renee" not in log.read_text(), 10, "the late one is gone, too")
        file.write("last default/renee-o-hara\n")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await redactor.finish()
    assert [line.partition(" ")[0] for line in log.read_text().splitlines()] == ["first", "late", "last"]
    assert "renee" not in log.read_text()
