"""The gateway against workers that die, and against versions that vanish and come back."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator

import pytest

from fleet.errors import HeadraceError
from fleet.model import ReplicaState
from fleet.telemetry.slab import STARTED, VERSION_BLOCKS, block_at
from fleet.wire import Members, Table
from tests.chaos.daemon_kit import descriptors
from tests.chaos.gateway_kit import Ears, config, replica, weights
from tests.support.waiting import wait_until

DRAINING = ReplicaState.DRAINING


@pytest.fixture
async def one() -> AsyncIterator[Ears]:
    ears = Ears()
    yield ears
    ears.close()


@pytest.fixture
async def two() -> AsyncIterator[Ears]:
    ears = Ears(workers=2)
    yield ears
    ears.close()


def _serve(ears: Ears, **kind: object) -> None:
    settings = config(**kind)  # type: ignore[arg-type]
    ears.gateway.configure(settings, weights(settings))


async def _finishes(ears: Ears, name: str) -> None:
    async with asyncio.timeout(1):
        await ears.gateway.drained(name)


async def test_a_generation_with_too_many_versions_changes_nothing(one: Ears) -> None:
    _serve(one)
    one.comes()
    bound, told = one.gateway.listeners.bound(), len(one.heard())
    names = tuple(f"p{number}" for number in range(VERSION_BLOCKS))
    with pytest.raises(HeadraceError, match="more than 2047 versions"):
        _serve(one, pools=names)
    assert one.gateway.generation == 1
    assert one.gateway.listeners.bound() == bound
    assert one.gateway.weights_in_force("a") == {"v1": 100}
    assert len(one.heard()) == told
    # and the next good one applies
    _serve(one, pools=("a", "b"))
    assert one.gateway.generation == 2


async def test_counters_of_a_version_gone_longest_are_used_again_from_zero(one: Ears) -> None:
    half = VERSION_BLOCKS // 2
    first, second = (tuple(f"{side}{n}" for n in range(half)) for side in "pq")
    _serve(one, pools=first)
    block = one.gateway._blocks["p0", "v1"]
    one.gateway.slab.row(0)[block_at(block) + STARTED] = 7
    assert one.gateway.totals("p0", "v1").started == 7
    _serve(one, pools=second)
    blocks = [one.gateway._blocks[name, "v1"] for name in second]
    assert block in blocks
    assert len(set(blocks)) == half and 0 not in blocks
    assert all(one.gateway.totals(name, "v1").started == 0 for name in second)


async def test_a_drain_does_not_wait_for_workers_that_were_never_started(one: Ears) -> None:
    one.gateway.publish("a", [replica(DRAINING)])
    await _finishes(one, replica().name)


async def test_a_drain_does_not_wait_for_a_dead_worker(two: Ears) -> None:
    _serve(two)
    two.comes(0)
    two.comes(1)
    two.gateway.publish("a", [replica()])
    two.gateway.publish("a", [replica(DRAINING)])
    two.idle(replica(), 0)
    waiting = asyncio.create_task(_finishes(two, replica().name))
    await asyncio.sleep(0)
    assert not waiting.done()
    two.dies(1)
    await waiting


async def test_a_worker_born_during_the_drain_of_a_removed_version_does_not_prolong_it(
    one: Ears,
) -> None:
    _serve(one, versions={"v1": 50, "v2": 50})
    one.comes()
    one.gateway.publish("a", [replica(version="v2")])
    _serve(one, versions={"v1": 100})
    one.gateway.publish("a", [replica(DRAINING, version="v2")])
    one.dies()
    one.comes()
    await _finishes(one, replica(version="v2").name)


async def test_a_version_removed_and_put_back_is_drained_only_when_its_streams_are_over(
    one: Ears,
) -> None:
    old = replica(DRAINING, version="v2")
    _serve(one, versions={"v1": 50, "v2": 50})
    one.comes()
    one.gateway.publish("a", [replica(version="v2")])
    one.leases(old, 1)
    _serve(one, versions={"v1": 100})
    one.gateway.publish("a", [old])
    _serve(one, versions={"v1": 50, "v2": 50})
    # the worker meets the name again, has no lease under it, and says so
    one.idle(old)
    waiting = asyncio.create_task(_finishes(one, old.name))
    await asyncio.sleep(0)
    assert not waiting.done()
    one.leases(old, -1)
    one.idle(old)
    await waiting


async def test_semaphores_of_replicas_a_new_worker_is_not_told_of_stay_here(two: Ears) -> None:
    _serve(two, versions={"v1": 50, "v2": 50})
    two.gateway.publish("a", [replica(), replica(version="v2", cell=1)])
    _serve(two, versions={"v1": 100})
    two.comes(0)
    (members,) = [m for m in two.heard(0) if isinstance(m, Members)]
    assert members.new_shared == (replica().name,)
    assert [r.name for v in members.versions for r in v.replicas] == [replica().name]


async def test_slots_taken_away_while_in_use_are_taken_as_they_come_back(two: Ears) -> None:
    _serve(two)
    two.gateway.publish("a", [replica(slots=4)])
    semaphore = two.semaphore(replica())
    for _ in range(4):
        os.eventfd_read(semaphore)
    two.gateway.publish("a", [replica(slots=1)])
    for _ in range(3):
        os.eventfd_write(semaphore, 1)

    def empty() -> bool:
        try:
            os.eventfd_read(semaphore)
        except BlockingIOError:
            return True
        os.eventfd_write(semaphore, 1)
        return False

    await wait_until(empty, "three slots are gone", timeout=2)
    os.eventfd_write(semaphore, 1)
    await asyncio.sleep(0)
    assert os.eventfd_read(semaphore) == 1


async def test_slots_owed_are_forgiven_when_the_number_is_raised_again(two: Ears) -> None:
    _serve(two)
    two.gateway.publish("a", [replica(slots=4)])
    semaphore = two.semaphore(replica())
    for _ in range(4):
        os.eventfd_read(semaphore)
    two.gateway.publish("a", [replica(slots=1)])
    two.gateway.publish("a", [replica(slots=4)])
    with pytest.raises(BlockingIOError):
        os.eventfd_read(semaphore)
    os.eventfd_write(semaphore, 4)
    await asyncio.sleep(0)
    assert [os.eventfd_read(semaphore) for _ in range(4)] == [1] * 4


async def test_what_a_dead_worker_held_is_given_back_exactly(two: Ears) -> None:
    _serve(two)
    two.comes(0)
    two.comes(1)
    two.gateway.publish("a", [replica(slots=4)])
    semaphore = two.semaphore(replica())
    for index, held in ((0, 1), (1, 3)):
        two.leases(replica(), held, index)
        for _ in range(held):
            os.eventfd_read(semaphore)
    two.dies(1)
    assert [os.eventfd_read(semaphore) for _ in range(3)] == [1] * 3
    with pytest.raises(BlockingIOError):
        os.eventfd_read(semaphore)
    assert two.gateway.in_flight(replica()) == 1


async def test_a_hundred_reloads_keep_one_socket_and_no_descriptors(one: Ears) -> None:
    _serve(one)
    one.comes()
    gc.collect()
    before = descriptors(os.getpid())
    for number in range(100):
        _serve(one, pools=("a", "b") if number % 2 else ("a",))
    assert descriptors(os.getpid()) == before
    tables = [m for m in one.heard() if isinstance(m, Table)]
    assert [t.generation for t in tables] == list(range(1, 102))
    assert [t.new_listeners for t in tables[1:]] == [()] * 100
