"""An edited pod is replaced, but not without end, and a pod that was made so is left."""

import pytest

from vigil_operator.kube.errors import AwayError, NotFoundError
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile import conflicts
from vigil_operator.reconcile.camera.edited_pods import MAX_EDITS, EditedPods, PodMemory
from vigil_operator.reconcile.conflicts import MAX_REPAIRS
from vigil_operator.resources.names import CONFIG_HASH, MANAGED_BY, labels

CAMERA = Key(Kind.CAMERA, "default", "front")
OURS, MIRROR, EVIL = "vigil/stream:1", "mirror.local/vigil/stream:1", "evil:1"


class Pods:
    """Removes by noting; fails a number of times.

    Parameters
    ----------
    rolled_out
        How many of the Deployment's two pods are made from its template as it is now; None: it is gone.
    """

    def __init__(self, fails: int = 0, rolled_out: int | None = None) -> None:
        self.removed: list[str] = []
        self.asked = 0
        self._fails = fails
        self._rolled_out = rolled_out

    async def delete(self, key: Key) -> None:
        if self._fails:
            self._fails -= 1
            msg = "by the test"
            raise AwayError(msg)
        self.removed.append(key.name)

    async def read(self, key: Key) -> Object:
        self.asked += 1
        assert key == Key(Kind.DEPLOYMENT, "default", "camera-front")
        if self._rolled_out is None:
            msg = "by the test"
            raise NotFoundError(msg)
        status = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": self._rolled_out}
        return {"metadata": {"generation": 3}, "status": status}


def made(image: str, config: str = "one") -> Object:
    containers = [{"name": "proxy", "image": "proxy:1"}, {"name": "stream", "image": image}]
    metadata = {"annotations": {CONFIG_HASH: config}, "labels": labels("front")}
    return {"metadata": metadata, "spec": {"containers": containers}}


def pod(name: str, image: str, generation: int | None = None, config: str = "one") -> Object:
    """Return a pod; without a generation, as API servers before 1.33 send it."""
    one = made(image, config)
    owner = {"kind": "ReplicaSet", "name": "camera-front-1", "controller": True}
    one["metadata"] |= {"name": name, "uid": name, "generateName": "camera-front-1-", "ownerReferences": [owner]}
    if generation is not None:
        one["metadata"]["generation"] = generation
    return one


def leaving(one: Object) -> Object:
    one["metadata"]["deletionTimestamp"] = "2026-05-01T12:00:00Z"
    return one


TEMPLATE = made(OURS)


@pytest.mark.parametrize("generation", [1, None])
async def test_a_pod_that_a_webhook_rewrites_is_not_replaced_forever(generation: int | None) -> None:
    """The replacement is rewritten in the same way, so pods are made so."""
    pods = Pods()
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()
    for number in range(20):
        for one in (pod(f"p{number}", MIRROR, generation), pod(f"p{number}", MIRROR, generation)):
            await edited.replace(CAMERA, memory, TEMPLATE, [one])
        await edited.replace(CAMERA, memory, TEMPLATE, [leaving(one)])
    assert pods.removed == ([] if generation else ["p0"])


@pytest.mark.parametrize(("before", "after"), [(1, 2), (None, None)])
async def test_an_edit_of_a_pod_that_was_made_well_is_undone_each_time(before: int | None, after: int | None) -> None:
    pods = Pods()
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()
    for name in "ab":
        assert not await edited.replace(CAMERA, memory, TEMPLATE, [pod(name, OURS, before)])
        assert await edited.replace(CAMERA, memory, TEMPLATE, [pod(name, EVIL, after)])
        assert not await edited.replace(CAMERA, memory, TEMPLATE, [pod(name, EVIL, after)]), (
            "it is on its way out already"
        )
    assert pods.removed == ["a", "b"]


@pytest.mark.parametrize("generation", [2, None])
async def test_an_edit_that_nobody_saw_is_undone(generation: int | None) -> None:
    pods = Pods()
    assert await EditedPods(pods.delete, pods.read).replace(CAMERA, PodMemory(), TEMPLATE, [pod("a", EVIL, generation)])
    assert pods.removed == ["a"]


async def test_a_pod_that_was_made_so_may_change_otherwise() -> None:
    pods = Pods()
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()
    await edited.replace(CAMERA, memory, TEMPLATE, [pod("a", MIRROR, 1)])
    await edited.replace(CAMERA, memory, TEMPLATE, [pod("a", MIRROR, 2)])  # resized in place
    assert pods.removed == []
    await edited.replace(CAMERA, memory, TEMPLATE, [pod("a", EVIL, 3)])
    assert pods.removed == ["a"]


async def test_who_edits_again_and_again_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    pods = Pods()
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()

    async def edit(name: str) -> None:
        await edited.replace(CAMERA, memory, TEMPLATE, [pod(name, OURS, 1)])
        await edited.replace(CAMERA, memory, TEMPLATE, [pod(name, f"evil:{name}", 2)])
        await edited.replace(CAMERA, memory, TEMPLATE, [leaving(pod(name, f"evil:{name}", 2))])

    for number in range(3 * MAX_REPAIRS):
        await edit(f"p{number}")
    assert len(pods.removed) == MAX_REPAIRS
    monkeypatch.setattr(conflicts, "WINDOW_S", 0.0)
    await edit("later")
    assert pods.removed[-1] == "later"


async def test_outdated_and_ending_pods_are_left_to_the_deployment() -> None:
    pods = Pods()
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()
    old, other = pod("old", "vigil/stream:0", 2, config="old"), leaving(pod("leaving", EVIL, 2))
    assert not await edited.replace(CAMERA, memory, TEMPLATE, [old, other])
    assert pods.removed == []


def without(one: Object, *names: str) -> Object:
    one["metadata"]["labels"] = {name: text for name, text in labels("front").items() if name not in names}
    return one


def let_go(one: Object) -> Object:
    del one["metadata"]["ownerReferences"]
    return one


@pytest.mark.parametrize("seen_before", [True, False])
async def test_a_pod_without_a_label_that_it_was_made_with_is_removed(seen_before: bool) -> None:
    pods = Pods()
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()
    if seen_before:
        assert not await edited.replace(CAMERA, memory, TEMPLATE, [pod("a", OURS, 1)])
    assert await edited.replace(CAMERA, memory, TEMPLATE, [without(pod("a", OURS, 1), MANAGED_BY)])
    assert not await edited.replace(CAMERA, memory, TEMPLATE, [pod("b", OURS, 1)])
    assert await edited.replace(CAMERA, memory, TEMPLATE, [without(pod("b", OURS, 1), MANAGED_BY)]), (
        "and the next one as well"
    )
    assert pods.removed == ["a", "b"]


async def test_a_label_that_no_pod_has_is_not_missed_forever() -> None:
    pods = Pods()
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()
    for number in range(20):
        one = without(pod(f"p{number}", OURS, 1), "app.kubernetes.io/part-of")
        await edited.replace(CAMERA, memory, TEMPLATE, [one])
        await edited.replace(CAMERA, memory, TEMPLATE, [leaving(one)])
    assert pods.removed == ["p0"]


async def test_a_webhooks_label_is_left_and_an_edited_one_is_not() -> None:
    pods = Pods()
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()
    theirs = pod("a", OURS, 1)
    theirs["metadata"]["labels"] |= {"app.kubernetes.io/part-of": "acme"}
    assert not await edited.replace(CAMERA, memory, TEMPLATE, [theirs])
    again = pod("a", OURS, 1)
    again["metadata"]["labels"] |= {"app.kubernetes.io/part-of": "hers"}
    assert await edited.replace(CAMERA, memory, TEMPLATE, [again])


@pytest.mark.parametrize("template", [TEMPLATE, None])
async def test_a_released_pod_is_deleted_and_a_copy_is_not(template: Object | None) -> None:
    """A ReplicaSet releases a pod whose labels no longer match; a copy made by hand never had an owner."""
    pods = Pods()
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()
    copy = let_go(pod("copy", OURS, 1))
    del copy["metadata"]["generateName"]
    assert await edited.replace(
        CAMERA, memory, template, [let_go(pod("a", OURS, 1, config="old")), copy, pod("b", OURS, 1)]
    )
    assert pods.removed == ["a"]


async def test_a_pod_that_vanished_is_deleted_once() -> None:
    """It was not ending when it was last seen, so it may run on without its labels."""
    pods = Pods(fails=1)
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()
    seen = [pod("bare", OURS, 1), leaving(pod("leaving", OURS, 1)), pod("stays", OURS, 1)]
    await edited.replace(CAMERA, memory, TEMPLATE, seen)
    with pytest.raises(AwayError):
        await edited.replace(CAMERA, memory, TEMPLATE, [pod("stays", OURS, 1)])
    for _ in range(2):
        await edited.replace(CAMERA, memory, TEMPLATE, [pod("stays", OURS, 1)])
    assert pods.removed == ["bare"]


@pytest.mark.parametrize("after", ["x", None])
async def test_another_configuration_written_on_a_pod_is_an_edit(after: str | None) -> None:
    pods = Pods()
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()
    await edited.replace(CAMERA, memory, TEMPLATE, [pod("a", OURS, 1)])
    changed = pod("a", OURS, 1)
    changed["metadata"]["annotations"] = {} if after is None else {CONFIG_HASH: after}
    assert await edited.replace(CAMERA, memory, TEMPLATE, [changed])
    assert (pods.removed, pods.asked) == (["a"], 0)


async def test_a_pod_of_the_earlier_template_is_left_alone() -> None:
    """The Deployment is not even read."""
    pods = Pods(rolled_out=2)
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()
    memory.observe(made("vigil/stream:0", config="old"), [pod("a", "vigil/stream:0", 1, config="old")])
    assert not await edited.replace(CAMERA, memory, TEMPLATE, [pod("a", "vigil/stream:0", 1, config="old")])
    assert (pods.removed, pods.asked) == ([], 0)


@pytest.mark.parametrize(("rolled_out", "removed"), [(2, ["a"]), (1, []), (0, []), (None, [])])
async def test_the_deployment_decides_on_an_unseen_configuration(rolled_out: int | None, removed: list[str]) -> None:
    """The annotation names a configuration that was never seen on a template."""
    pods = Pods(rolled_out=rolled_out)
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()
    await edited.replace(CAMERA, memory, TEMPLATE, [pod("a", OURS, 1, config="x")])
    assert pods.removed == removed


async def test_a_removal_that_failed_is_tried_again() -> None:
    pods = Pods(fails=1)
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()
    with pytest.raises(AwayError):
        await edited.replace(CAMERA, memory, TEMPLATE, [pod("a", EVIL, 2)])
    assert await edited.replace(CAMERA, memory, TEMPLATE, [pod("a", EVIL, 2)])
    assert pods.removed == ["a"]


async def test_what_is_remembered_is_bounded() -> None:
    pods = Pods()
    edited, memory = EditedPods(pods.delete, pods.read), PodMemory()
    for number in range(100):
        await edited.replace(CAMERA, memory, TEMPLATE, [pod(f"p{number}", f"evil:{number}", 2)])
    assert (len(memory.made_with), len(memory.removed)) <= (1, 1)
    assert len(memory.replaced) <= MAX_EDITS
