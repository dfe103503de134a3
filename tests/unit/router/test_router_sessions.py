"""Which sessions a worker notes of its replicas."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fleet.telemetry.slab import Slab
from router.sessions import turn
from tests.unit.router.kit import House, Waits, house, pool_entry, replica_entry, version_entry


@pytest.fixture
def slab() -> Iterator[Slab]:
    made = Slab.create(1)
    yield made
    made.close()
    os.close(made.fd)


def hashed(*numbers: int, slots: int = 100) -> House:
    """A house that picks replicas by a key."""
    entries = [replica_entry(number, slots=slots) for number in numbers]
    return house(*entries, balance="consistent_hash")


def sessions(made: House, slab: Slab, *cells: int) -> list[int]:
    """As control counts them."""
    with slab.row(0) as row:
        row[:] = made.row
    return [slab.cell_sessions(cell) for cell in cells]


def visit(made: House, *keys: bytes | None) -> None:
    """A request with each key, one after the other."""
    for key in keys:
        replica = made.admission.lease(made.version(), key)
        assert replica is not None
        made.admission.release(replica, 0.1)


def test_each_session_counts_once_where_its_key_leads(slab: Slab) -> None:
    made = hashed(1, 2, 3)
    keys = [b"s-%d" % number for number in range(60)]
    visit(made, *keys, *keys)
    found = sessions(made, slab, 1, 2, 3)
    assert sum(found) == 60
    assert all(found)


def test_requests_without_a_key_are_no_sessions(slab: Slab) -> None:
    made = hashed(1)
    visit(made, None, None)
    assert sessions(made, slab, 1) == [0]
    assert made.version().replicas["r1"].sessions is None


def test_one_that_waits_counts_when_it_gets_its_slot(slab: Slab) -> None:
    made = hashed(1, slots=1)
    lease = made.admission.lease(made.version(), b"a")
    assert lease is not None
    waiter = Waits("waits")
    waiter.hash_key = b"b"
    assert made.admission.enqueue(waiter, made.version())
    assert sessions(made, slab, 1) == [1]
    made.admission.release(lease, 0.1)
    assert waiter.fate == ["granted"]
    assert sessions(made, slab, 1) == [2]


def test_sessions_are_forgotten_after_two_turns_unless_they_come_again(slab: Slab) -> None:
    made = hashed(1)
    visit(made, b"stays", b"leaves")
    pools = made.directory.pools.values()
    turn(pools)
    assert sessions(made, slab, 1) == [2]
    visit(made, b"stays")
    turn(pools)
    assert sessions(made, slab, 1) == [1]
    turn(pools)
    assert sessions(made, slab, 1) == [0]


def test_a_worker_that_takes_the_place_of_another_keeps_what_that_has_seen(slab: Slab) -> None:
    first = hashed(1)
    visit(first, b"a")
    second = House(first.row)
    second.apply(pool_entry(version_entry(), balance="consistent_hash"))
    second.members(version_entry("v1", replica_entry(1)))
    visit(second, b"b")
    assert sessions(second, slab, 1) == [2]


def test_sessions_of_neighbouring_cells_are_apart(slab: Slab) -> None:
    made = hashed(7)
    visit(made, *(b"%d" % number for number in range(300)))
    assert sessions(made, slab, 6, 8) == [0, 0]
