import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vigil_vision.triton import shared_memory
from vigil_vision.triton.shared_memory import PREFIX, RegionStore

HOLD = """
import sys
from pathlib import Path
from vigil_vision.triton.shared_memory import RegionStore
array = RegionStore(Path(sys.argv[1])).allocate(4096)
print("ready", flush=True)
sys.stdin.read()
"""


def regions(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{PREFIX}*"))


def test_what_is_written_is_in_the_file(tmp_path: Path) -> None:
    store = RegionStore(tmp_path)
    array = store.allocate(1000)
    assert not array.any()
    array[:] = 7
    assert regions(tmp_path)[0].read_bytes() == b"\x07" * 1000
    assert regions(tmp_path)[0].stat().st_mode & 0o777 == 0o600


def test_views_are_found_with_their_offset_and_copies_are_not(tmp_path: Path) -> None:
    store = RegionStore(tmp_path)
    batch = store.allocate(2 * 4 * 5 * 3).reshape(2, 4, 5, 3)
    second = store.find(batch[1])
    assert second is not None
    assert second[1] == 60
    assert store.find(batch[None, 0]) is not None
    assert store.find(batch[:, :2]) is None
    assert store.find(batch.copy()) is None
    assert store.find(np.zeros(3, np.uint8)) is None


def test_memory_goes_with_the_last_view(tmp_path: Path) -> None:
    store = RegionStore(tmp_path)
    array = store.allocate(600)
    view = array.reshape(10, 20, 3)[2:]
    del array
    gc.collect()
    assert len(regions(tmp_path)) == 1
    del view
    gc.collect()
    assert regions(tmp_path) == []
    assert store.names() == set()


def test_closing_unlinks_what_is_still_held(tmp_path: Path) -> None:
    store = RegionStore(tmp_path)
    array = store.allocate(10)
    store.close()
    assert regions(tmp_path) == []
    array[0] = 1


def test_only_strays_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """A region of a killed process is removed; that of a living process stays."""
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        for holder in holders:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
        killed, living = holders
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
        assert len(regions(tmp_path)) == 2
        assert shared_memory.remove_strays(tmp_path) == 1
        assert [path.name.split("-")[2] for path in regions(tmp_path)] == [str(living.pid)]
        living.communicate("", timeout=10)
        assert regions(tmp_path) == []
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


def test_a_fork_that_ends_leaves_its_parents_memory(tmp_path: Path) -> None:
    forking = HOLD.replace('print("ready"', 'import os\nif os.fork() == 0: sys.exit(0)\nos.wait()\nprint("ready"')
    holder = subprocess.Popen(
        [sys.executable, "-c", forking, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        assert len(regions(tmp_path)) == 1
    finally:
        holder.kill()
        holder.communicate()


def test_no_shared_memory_is_an_os_error(tmp_path: Path) -> None:
    store = RegionStore(tmp_path / "missing")
    with pytest.raises(OSError, match="missing"):
        store.allocate(10)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("x")
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "other")
    shared_memory.remove_strays(tmp_path)
    assert (tmp_path / "other").exists()
    assert os.path.lexists(tmp_path / f"{PREFIX}link")
