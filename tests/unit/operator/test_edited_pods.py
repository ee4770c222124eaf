"""A pod that was edited in place is made anew; one that was made so is left, and nobody's pods are removed for ever."""

import pytest

from vigil_operator.kube.errors import AwayError
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile import quarrels
from vigil_operator.reconcile.edited_pods import REWRITES, EditedPods
from vigil_operator.reconcile.quarrels import QUARREL
from vigil_operator.resources.names import CONFIG_HASH

CAMERA = Key(Kind.CAMERA, "default", "front")
OURS, MIRROR, EVIL = "vigil/stream:1", "mirror.local/vigil/stream:1", "evil:1"


class Pods:
    """Removes by noting; fails as often as told."""

    def __init__(self, fails: int = 0) -> None:
        self.removed: list[str] = []
        self._fails = fails

    async def delete(self, key: Key) -> None:
        if self._fails:
            self._fails -= 1
            msg = "by the test"
            raise AwayError(msg)
        self.removed.append(key.name)


def made(image: str, config: str = "one") -> Object:
    containers = [{"name": "proxy", "image": "proxy:1"}, {"name": "stream", "image": image}]
    return {"metadata": {"annotations": {CONFIG_HASH: config}}, "spec": {"containers": containers}}


def pod(name: str, image: str, generation: int | None = None, config: str = "one") -> Object:
    """Give a pod; without a generation, as API servers before 1.33 tell of it."""
    one = made(image, config)
    one["metadata"] |= {"name": name, "uid": name}
    if generation is not None:
        one["metadata"]["generation"] = generation
    return one


TEMPLATE = made(OURS)


@pytest.mark.parametrize("generation", [1, None])
async def test_what_a_webhook_rewrites_at_the_making_is_not_removed_for_ever(generation: int | None) -> None:
    pods = Pods()
    edited = EditedPods(pods.delete)
    for number in range(20):
        await edited.replace(CAMERA, TEMPLATE, [pod(f"p{number}", MIRROR, generation)])
        await edited.replace(CAMERA, TEMPLATE, [pod(f"p{number}", MIRROR, generation)])
    assert pods.removed == ([] if generation else ["p0"])


@pytest.mark.parametrize(("before", "after"), [(1, 2), (None, None)])
async def test_an_edit_of_a_pod_that_was_made_well_is_undone_each_time(before: int | None, after: int | None) -> None:
    pods = Pods()
    edited = EditedPods(pods.delete)
    for name in "ab":
        assert not await edited.replace(CAMERA, TEMPLATE, [pod(name, OURS, before)])
        assert await edited.replace(CAMERA, TEMPLATE, [pod(name, EVIL, after)])
        assert not await edited.replace(CAMERA, TEMPLATE, [pod(name, EVIL, after)]), "it is on its way out already"
    assert pods.removed == ["a", "b"]


@pytest.mark.parametrize("generation", [2, None])
async def test_an_edit_that_nobody_saw_is_undone(generation: int | None) -> None:
    pods = Pods()
    assert await EditedPods(pods.delete).replace(CAMERA, TEMPLATE, [pod("a", EVIL, generation)])
    assert pods.removed == ["a"]


async def test_a_pod_that_was_made_so_may_change_otherwise() -> None:
    pods = Pods()
    edited = EditedPods(pods.delete)
    await edited.replace(CAMERA, TEMPLATE, [pod("a", MIRROR, 1)])
    await edited.replace(CAMERA, TEMPLATE, [pod("a", MIRROR, 2)])  # resized in place
    assert pods.removed == []
    await edited.replace(CAMERA, TEMPLATE, [pod("a", EVIL, 3)])
    assert pods.removed == ["a"]


async def test_who_edits_again_and_again_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    pods = Pods()
    edited = EditedPods(pods.delete)

    async def edit(name: str) -> None:
        await edited.replace(CAMERA, TEMPLATE, [pod(name, OURS, 1)])
        await edited.replace(CAMERA, TEMPLATE, [pod(name, f"evil:{name}", 2)])

    for number in range(3 * QUARREL):
        await edit(f"p{number}")
    assert len(pods.removed) == QUARREL
    monkeypatch.setattr(quarrels, "QUARREL_S", 0.0)
    await edit("later")
    assert pods.removed[-1] == "later"


async def test_pods_of_another_configuration_and_pods_that_go_are_the_deployments() -> None:
    pods = Pods()
    edited = EditedPods(pods.delete)
    leaving = pod("leaving", EVIL, 2)
    leaving["metadata"]["deletionTimestamp"] = "2026-05-01T12:00:00Z"
    assert not await edited.replace(CAMERA, TEMPLATE, [pod("old", "vigil/stream:0", 2, config="old"), leaving])
    assert pods.removed == []


async def test_a_removal_that_failed_is_tried_again() -> None:
    pods = Pods(fails=1)
    edited = EditedPods(pods.delete)
    with pytest.raises(AwayError):
        await edited.replace(CAMERA, TEMPLATE, [pod("a", EVIL, 2)])
    assert await edited.replace(CAMERA, TEMPLATE, [pod("a", EVIL, 2)])
    assert pods.removed == ["a"]


async def test_what_is_remembered_is_bounded_and_goes_with_the_camera() -> None:
    edited = EditedPods(Pods().delete)
    for number in range(100):
        await edited.replace(CAMERA, TEMPLATE, [pod(f"p{number}", f"evil:{number}", 2)])
    known = edited._known[CAMERA]
    assert (len(known.made_with), len(known.removed)) <= (1, 1)
    assert len(known.replaced) <= REWRITES
    edited.forget(CAMERA)
    assert edited.size == 0
