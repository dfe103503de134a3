from __future__ import annotations

import random
from collections import Counter
from itertools import cycle

import msgspec
import pytest

from router.balance import BALANCERS
from router.balance.least_request import LeastRequest
from router.balance.round_robin import RoundRobin
from tests.unit.router.kit import House, house, replica_entry, version_entry


def take(made: House) -> str:
    replica = made.admission.lease(made.version())
    assert replica is not None
    return replica.name


def test_the_registry_is_alphabetical() -> None:
    assert list(BALANCERS) == sorted(BALANCERS)


def test_round_robin_takes_each_in_turn() -> None:
    made = house(*[replica_entry(n, slots=9) for n in range(3)], balance="round_robin")
    assert [take(made) for _ in range(6)] == ["r0", "r1", "r2", "r0", "r1", "r2"]


def test_round_robin_passes_over_the_full() -> None:
    entries = [replica_entry(0, slots=9), replica_entry(1, slots=1), replica_entry(2, slots=9)]
    made = house(*entries, balance="round_robin")
    assert [take(made) for _ in range(6)] == ["r0", "r1", "r2", "r0", "r2", "r0"]


def test_round_robin_goes_on_with_new_members() -> None:
    made = house(replica_entry(0, slots=9), balance="round_robin")
    assert isinstance(made.version().balancer, RoundRobin)
    take(made)
    made.members(version_entry("v1", *[replica_entry(n, slots=9) for n in range(3)]))
    assert Counter(take(made) for _ in range(6)) == {"r0": 2, "r1": 2, "r2": 2}


@pytest.mark.parametrize(
    ("busy", "slots", "picked"),
    [
        ((0, 1), (4, 4), "r0"),
        ((2, 0), (4, 4), "r1"),
        ((2, 1), (8, 2), "r0"),
        ((1, 2), (2, 8), "r1"),
    ],
    ids=["fewer first", "fewer second", "a smaller share first", "a smaller share second"],
)
def test_least_request_takes_of_two_the_one_with(
    busy: tuple[int, int], slots: tuple[int, int], picked: str
) -> None:
    made = house(*[replica_entry(n, slots=slots[n]) for n in range(2)])
    for n in range(2):
        for _ in range(busy[n]):
            assert made.version().replicas[f"r{n}"].acquire()
    for first in (0.0, 0.99):
        draws = cycle([first, 0.0])
        assert (
            LeastRequest(lambda draws=draws: next(draws)).pick(made.version(), None).name == picked
        )  # type: ignore[misc]


def test_least_request_is_determined_by_its_numbers() -> None:
    def names(seed: int) -> list[str]:
        made = house(*[replica_entry(n, slots=50) for n in range(5)])
        made.version().balancer = LeastRequest(random.Random(seed).random)
        return [take(made) for _ in range(100)]

    assert names(1) == names(1)
    assert names(1) != names(2)


def test_least_request_spreads_evenly() -> None:
    made = house(*[replica_entry(n, slots=1000) for n in range(10)])
    made.version().balancer = LeastRequest(random.Random(7).random)
    counts = Counter(take(made) for _ in range(2000))
    assert max(counts.values()) - min(counts.values()) < 12  # at random it would be about 45


@pytest.mark.parametrize("balance", BALANCERS)
def test_a_full_or_unusable_replica_is_never_picked(balance: str) -> None:
    entries = [replica_entry(0, slots=3), replica_entry(1, slots=1),
               replica_entry(2, slots=9, serving=False), replica_entry(3, slots=2)]  # fmt: skip
    made = house(*entries, balance=balance)
    assert Counter(take(made) for _ in range(6)) == {"r0": 3, "r1": 1, "r3": 2}
    assert made.admission.lease(made.version()) is None


def packed(made: House, on: bool) -> None:
    entry = version_entry("v1", *[replica_entry(n, slots=2) for n in range(3)])
    made.members(msgspec.structs.replace(entry, packed=on))


def test_packing_fills_the_oldest_replicas_first() -> None:
    made = house(*[replica_entry(n, slots=2) for n in range(3)])
    packed(made, True)
    assert [take(made) for _ in range(5)] == ["r0", "r0", "r1", "r1", "r2"]


def test_packing_takes_an_older_slot_again_as_soon_as_it_is_free() -> None:
    made = house(*[replica_entry(n, slots=2) for n in range(3)])
    packed(made, True)
    for _ in range(3):
        take(made)
    made.admission.release(made.version().replicas["r0"], 0.1)
    assert take(made) == "r0"


def test_packing_ends_with_the_balancer_that_was() -> None:
    made = house(*[replica_entry(n, slots=2) for n in range(3)], balance="round_robin")
    before = made.version().balancer
    packed(made, True)
    assert made.version().balancer is not before
    packed(made, True)
    packed(made, False)
    assert made.version().balancer is before
    assert [take(made) for _ in range(3)] == ["r0", "r1", "r2"]


def test_a_key_leads_where_it_leads_while_requests_are_packed() -> None:
    made = house(*[replica_entry(n, slots=9) for n in range(8)], balance="consistent_hash")
    key = b"session"
    version = made.version()
    before = version.balancer.pick(version, key)
    entry = version_entry("v1", *[replica_entry(n, slots=9) for n in range(8)])
    made.members(msgspec.structs.replace(entry, packed=True))
    assert version.balancer.pick(version, key) is before
    assert version.balancer.pick(version, None).name == "r0"
