from __future__ import annotations

import os

import pytest

from fleet.telemetry import slab as words
from fleet.telemetry.slab import block_at
from router.pool import Replica
from tests.unit.router.kit import House, Waits, house, pool_entry, replica_entry, version_entry


def full(slots: int = 1, limit: int = 10) -> tuple[House, list[Replica]]:
    """A house whose only replica is full, and its leases."""
    made = house(replica_entry(0, slots=slots), limit=limit)
    leases = [made.admission.lease(made.version()) for _ in range(slots)]
    assert None not in leases
    return made, [r for r in leases if r is not None]


def queue(made: House, *names: str, until: float = 10.0) -> list[Waits]:
    waiters = [Waits(name, until) for name in names]
    for waiter in waiters:
        assert made.admission.enqueue(waiter, made.version())
    return waiters


def fates(waiters: list[Waits]) -> list[list[str]]:
    return [w.fate for w in waiters]


def test_a_slot_that_comes_free_goes_to_the_first_in_the_queue() -> None:
    made, (lease,) = full()
    waiters = queue(made, "a", "b")
    made.admission.release(lease, 0.1)
    assert fates(waiters) == [["granted"], []]
    assert made.admission.lease(made.version()) is None, "the queue was overtaken"
    made.admission.release(lease, 0.1)
    assert fates(waiters) == [["granted"], ["granted"]]


def test_one_that_was_in_before_goes_to_the_front_even_of_a_full_queue() -> None:
    made, (lease,) = full(limit=1)
    (first,) = queue(made, "a")
    assert not made.admission.enqueue(Waits("late"), made.version())
    again = Waits("again")
    assert made.admission.enqueue(again, made.version(), front=True)
    made.admission.release(lease, 0.1)
    assert (again.fate, first.fate) == (["granted"], [])


def test_a_limit_of_0_queues_nobody() -> None:
    made, _ = full(limit=0)
    assert not made.admission.enqueue(Waits("a"), made.version())
    assert made.row[block_at(1) + words.SHED] == 1


def test_the_limit_is_the_pools_over_all_its_versions() -> None:
    made = house(limit=2)
    made.apply(pool_entry(version_entry(), version_entry("v2", block=2), limit=2))
    assert made.admission.enqueue(Waits("a"), made.version("v1"))
    assert made.admission.enqueue(Waits("b"), made.version("v2"))
    assert not made.admission.enqueue(Waits("c"), made.version("v1"))


def test_one_that_leaves_frees_its_place() -> None:
    made, (lease,) = full(limit=2)
    a, b = queue(made, "a", "b")
    made.admission.leave(a, made.version())
    (c,) = queue(made, "c")
    made.admission.release(lease, 0.1)
    assert (a.fate, b.fate, c.fate) == ([], ["granted"], [])


@pytest.mark.parametrize(
    ("until", "expired"),
    [((1, 2, 3), [True, True, False]), ((3, 1, 2), [False, True, True]), ((3, 3, 3), [False] * 3)],
    ids=["in order", "the first is not due", "none is due"],
)
def test_those_who_are_due_are_sent_away(until: tuple[float, ...], expired: list[bool]) -> None:
    made, _ = full()
    waiters = [queue(made, str(at), until=at)[0] for at in until]
    made.admission.expire(made.pool(), 2.0)
    assert [w.fate == ["expired"] for w in waiters] == expired
    assert made.pool().queued == expired.count(False)
    assert made.row[block_at(1) + words.QUEUE_TIMEOUTS] == expired.count(True)


def test_those_of_a_vanished_version_move_to_the_heaviest_and_count_there() -> None:
    made = house()
    made.apply(pool_entry(version_entry(), version_entry("v2", block=2, weight=2)))
    waiters = queue(made, "a", "b")
    made.apply(pool_entry(version_entry("v2", block=2, weight=2)))
    assert fates(waiters) == [["moved to v2"]] * 2
    assert list(made.version("v2").waiting) == waiters
    assert made.pool().queued == 2
    assert made.row[block_at(1) + words.QUEUED] == made.row[block_at(1) + words.UNQUEUED] == 2
    assert made.row[block_at(2) + words.QUEUED] == 2
    assert made.formed == ["v1", "v2"]


def test_those_of_a_vanished_pool_are_dropped() -> None:
    made = house()
    pool = made.pool()
    waiters = queue(made, "a", "b")
    made.apply()
    assert fates(waiters) == [["dropped"]] * 2
    assert pool.queued == 0


def test_a_queue_is_told_of_once_until_it_has_been_empty() -> None:
    made, (lease,) = full()
    queue(made, "a", "b")
    assert made.formed == ["v1"]
    made.admission.release(lease, 0.1)
    made.admission.release(lease, 0.1)
    queue(made, "c")
    assert made.formed == ["v1", "v1"]


@pytest.mark.parametrize(
    ("slots", "held", "waiting", "seconds"),
    [(1, 0.0, 3, 1), (1, 100.0, 1, 10), (2, 100.0, 4, 20), (1, 1000.0, 9, 60)],
    ids=["at least 1", "the mean lease", "over all slots", "at most 60"],
)
def test_the_hint_is_how_long_the_queue_takes_to_drain(
    slots: int, held: float, waiting: int, seconds: int
) -> None:
    made, leases = full(slots)
    made.admission.release(leases[0], held)  # a tenth of it enters the mean
    assert made.admission.lease(made.version()) is not None
    queue(made, *map(str, range(waiting)))
    assert made.admission.retry_after(made.version()) == seconds


def test_without_replicas_the_hint_is_the_queues_timeout() -> None:
    made = house()
    assert made.admission.retry_after(made.version()) == 10


def test_leases_are_counted_with_their_time() -> None:
    made, (lease,) = full()
    made.admission.release(lease, 0.25)
    block = block_at(1)
    assert made.row[block + words.LEASED] == made.row[block + words.RELEASED] == 1
    assert made.row[block + words.LEASE_MICROSECONDS] == 250_000


def test_a_replica_without_a_free_token_is_awaited_once_it_is_tried() -> None:
    made = house(replica_entry(0, slots=2))
    replica = made.version().replicas["r0"]
    replica.token_fd = os.eventfd(1, os.EFD_SEMAPHORE | os.EFD_NONBLOCK)
    try:
        assert made.admission.lease(made.version()) is replica
        assert made.awaited == []
        assert made.admission.lease(made.version()) is None
        assert made.awaited == ["r0"]
        made.admission.release(replica, 0.1)
        assert made.admission.lease(made.version()) is replica
    finally:
        os.close(replica.token_fd)


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_leases_without_a_good_reply_do_not_ruin_slots_that_are_found_out(status: int) -> None:
    made = house(replica_entry(0, slots=8, adaptive=True))
    version = made.version()

    def turns(count: int, held: float, status: int) -> int:
        for _ in range(count):
            leases = []
            while (lease := made.admission.lease(version)) is not None:
                leases.append(lease)
            for lease in leases:
                made.admission.release(lease, held, status)
        return version.replicas["r0"].slots

    before = turns(100, 1.0, 200)
    turns(1000, 0.001, status)
    assert turns(20, 1.0, 200) == before == 8
