"""The work queue: every key once, nothing lost."""

import asyncio

import pytest
from tests.support.waiting import eventually

from vigil_operator.queue import WorkQueue


async def test_a_key_added_often_is_worked_on_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(3):
        queue.add("a")
    queue.add("b")
    assert [await queue.take(), await queue.take()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_while_held_is_queued_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    key = await queue.take()
    queue.add("a")
    assert len(queue) == 0
    queue.done(key)
    assert await queue.take() == "a"


async def test_of_two_times_the_earlier_counts() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", after_s=60)
    queue.add("a", after_s=0.01)
    queue.add("a", after_s=60)
    assert queue.waiting == 1
    await eventually(lambda: len(queue) == 1, 5, "the key is due")
    assert await queue.take() == "a"
    queue.done("a")
    assert (len(queue), queue.waiting) == (0, 0)


async def test_outdated_entries_do_not_pile_up() -> None:
    queue: WorkQueue[int] = WorkQueue()
    for number in range(3000):
        queue.add(number % 3, after_s=7 * 86400)
        queue.add(number % 3)
        queue.done(await queue.take())
    assert queue.held <= 2 * 3 + 64
    queue.add(5, after_s=0.01)
    await eventually(lambda: len(queue) == 1, 5, "those that count are still there")
    assert await queue.take() == 5


async def test_a_key_due_later_can_be_queued_now() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", after_s=60)
    queue.add("a")
    assert await queue.take() == "a"
    queue.done("a")
    assert queue.waiting == 0


async def test_a_worker_waits_for_keys_that_come_later() -> None:
    queue: WorkQueue[str] = WorkQueue()
    taken = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add("a")
    assert await asyncio.wait_for(taken, 5) == "a"


async def test_a_cancelled_worker_takes_no_key_with_it() -> None:
    queue: WorkQueue[str] = WorkQueue()
    taken = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    taken.cancel()
    await asyncio.gather(taken, return_exceptions=True)
    queue.add("a")
    assert await asyncio.wait_for(queue.take(), 5) == "a"


@pytest.mark.parametrize("workers", [1, 4])
async def test_no_two_workers_hold_one_key(workers: int) -> None:
    queue: WorkQueue[int] = WorkQueue()
    active: set[int] = set()
    handled = 0

    async def handle(key: int) -> None:
        nonlocal handled
        assert key not in active
        active.add(key)
        await asyncio.sleep(0)
        active.remove(key)
        handled += 1

    tasks = [asyncio.create_task(queue.work(handle)) for _ in range(workers)]
    for number in range(200):
        queue.add(number % 7)
        if number % 5 == 0:
            await asyncio.sleep(0)
    await eventually(lambda: len(queue) == 0 and queue.active == 0, 5, "all was handled")
    assert handled >= 7
    for task in tasks:
        assert not task.done()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
