"""The balancing policies by table: who is picked when what is known."""

from __future__ import annotations

from collections import Counter
from itertools import cycle
from random import Random

import pytest
from msgspec.structs import replace

from fleet.telemetry import slab as words
from router.balance import draw
from router.balance.consistent_hash import ConsistentHash
from router.balance.estimates import Usual
from router.balance.least_request import LeastRequest
from router.balance.peak_ewma import PeakEwma
from router.balance.prequal import Prequal
from router.balance.round_robin import RoundRobin
from router.balance.slow_start import ramp, reshare
from router.pool import Replica
from tests.unit.router.kit import House, house, replica_entry, version_entry


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def weighted(*weights: float, slots: int = 100, balance: str = "least_request") -> House:
    """Replicas r0, r1, ... of these weights."""
    entries = [replica_entry(n, slots=slots, weight=w) for n, w in enumerate(weights)]
    made = house(*entries, balance=balance)
    reshare(made.version(), 0.0)
    return made


def replica(made: House, number: int) -> Replica:
    return made.version().replicas[f"r{number}"]


def occupy(made: House, *in_flight: int) -> None:
    """Put so many requests on r0, r1, ..., as admission would."""
    for number, count in enumerate(in_flight):
        for _ in range(count):
            assert replica(made, number).acquire()
            made.version().counters.add(words.LEASED)


# round robin


def test_smooth_weighted_round_robin_is_the_one_of_nginx() -> None:
    made = weighted(5, 1, 1, balance="round_robin")
    balancer = made.version().balancer
    assert isinstance(balancer, RoundRobin)
    picks = "".join("abc"[int(balancer.pick(made.version(), None).name[1])] for _ in range(14))
    assert picks == "aabacaa" * 2


def test_a_replica_busy_elsewhere_has_half_its_weight() -> None:
    made = weighted(1, 1, slots=10, balance="round_robin")
    replica(made, 0).elsewhere = 10.0
    made.version().uneven = True
    balancer = made.version().balancer
    counts = Counter(balancer.pick(made.version(), None).name for _ in range(30))
    assert counts == {"r0": 10, "r1": 20}


# draws and least request


def test_draws_are_as_frequent_as_shares() -> None:
    made = weighted(1, 2, 4)
    rand = Random(1).random
    counts = Counter(draw.one(made.version(), rand).name for _ in range(7000))
    assert counts["r0"] == pytest.approx(1000, rel=0.1)
    assert counts["r1"] == pytest.approx(2000, rel=0.1)


def test_a_draw_ends_even_when_all_shares_are_tiny() -> None:
    made = weighted(1, 1)
    for n in (0, 1):
        replica(made, n).share = 0.0
    made.version().uneven = True
    assert draw.one(made.version(), Random(1).random).name in ("r0", "r1")


LEAST: dict[str, tuple[tuple[float, float], tuple[int, int], tuple[float, float], str]] = {
    "twice the weight carries twice as much": ((2, 1), (5, 3), (0, 0), "r0"),
    "but no more than that": ((2, 1), (7, 3), (0, 0), "r1"),
    "what is reported counts beside what is in flight": ((1, 1), (1, 3), (4, 0), "r1"),
}


@pytest.mark.parametrize(
    ("weights", "busy", "elsewhere", "picked"), LEAST.values(), ids=LEAST.keys()
)
def test_least_request_with_weights(
    weights: tuple[float, float],
    busy: tuple[int, int],
    elsewhere: tuple[float, float],
    picked: str,
) -> None:
    made = weighted(*weights)
    occupy(made, *busy)
    for n in (0, 1):
        replica(made, n).elsewhere = elsewhere[n]
    made.version().uneven = True
    for first in (0.0, 0.9):
        rand = cycle([first, 0.0, 0.0, 0.0]).__next__
        assert LeastRequest(rand).pick(made.version(), None).name == picked


# peak EWMA


def ewma(made: House, time: Time) -> PeakEwma:
    return PeakEwma(10.0, Random(1).random, time)


def test_a_slow_reply_counts_at_once_and_fades() -> None:
    """The example of the module."""
    made, time = weighted(1, 1), Time()
    balancer = ewma(made, time)
    a, b = replica(made, 0), replica(made, 1)
    balancer.replied(a, 0.1)
    balancer.replied(a, 2.0)
    balancer.replied(b, 0.3)
    occupy(made, 1, 1)
    assert balancer.load(a, time.now) == pytest.approx(4.0)
    assert balancer.load(b, time.now) == pytest.approx(0.6)
    assert balancer.pick(made.version(), None) is b
    time.now += 19
    assert balancer.load(a, time.now) == pytest.approx(2 * 0.15 * 2, rel=0.01)


def test_a_faster_reply_counts_by_the_time_since_the_last() -> None:
    made, time = weighted(1, 1), Time()
    balancer = ewma(made, time)
    a = replica(made, 0)
    balancer.replied(a, 1.0)
    balancer.replied(a, 0.1)
    assert balancer.load(a, time.now) == pytest.approx(1.0)
    time.now += 10.0
    balancer.replied(a, 0.1)
    assert balancer.load(a, time.now) == pytest.approx(0.1 + 0.9 * 0.368, rel=0.01)


def test_an_unknown_replica_gets_one_request_to_be_known_by() -> None:
    made, time = weighted(1, 1), Time()
    balancer = ewma(made, time)
    balancer.replied(replica(made, 1), 0.1)
    assert balancer.pick(made.version(), None).name == "r0"
    occupy(made, 1, 50)
    assert balancer.pick(made.version(), None).name == "r1"


def test_what_was_known_long_ago_is_not_known() -> None:
    made, time = weighted(1, 1), Time()
    balancer = ewma(made, time)
    a = replica(made, 0)
    balancer.replied(a, 0.1)
    occupy(made, 1)
    time.now += 41
    assert balancer.load(a, time.now) > 1000


PENALTIES = {
    "at least 5 s": (0.1, 0.0, 5.0),
    "ten usual replies": (20.0, 0.0, 200.0),
    "as long as it asks": (0.1, 60.0, 60.0),
    "at most 300 s of what it asks": (0.1, 9000.0, 300.0),
}


@pytest.mark.parametrize(("seconds", "asked", "penalty"), PENALTIES.values(), ids=PENALTIES)
def test_a_failure_counts_as_a_reply_of(seconds: float, asked: float, penalty: float) -> None:
    usual = Usual()
    usual.add(seconds)
    assert usual.penalty(asked) == penalty


def test_one_that_fails_wins_against_none_until_that_has_faded() -> None:
    made, time = weighted(1, 1), Time()
    balancer = ewma(made, time)
    balancer.replied(replica(made, 1), 0.1)
    balancer.failed(replica(made, 0), 0.0)
    occupy(made, 0, 90)
    time.now += 39
    balancer.replied(replica(made, 1), 0.1)
    assert balancer.pick(made.version(), None).name == "r1"
    time.now += 0.2  # 10 * ln(5 / 0.1) is 39.1
    assert balancer.pick(made.version(), None).name == "r0"


def test_a_request_given_up_makes_its_replica_later_but_never_faster() -> None:
    made, time = weighted(1, 1), Time()
    balancer = ewma(made, time)
    for n in (0, 1):
        balancer.replied(replica(made, n), 0.5)
    balancer.silent(replica(made, 0), 0.1)
    assert balancer.load(replica(made, 0), time.now) == 0.5
    balancer.silent(replica(made, 0), 2.0)
    assert balancer.pick(made.version(), None).name == "r1"


# prequal


def prequal(made: House, time: Time, *latencies: float) -> Prequal:
    """With one reply of r0, r1, ... each known, at their present numbers in flight."""
    balancer = Prequal(10.0, Random(1).random, time)
    for number, seconds in enumerate(latencies):
        one = replica(made, number)
        one.in_flight += 1
        balancer.replied(one, seconds)
        one.in_flight -= 1
    return balancer


HOT_COLD: dict[str, tuple[tuple[int, ...], tuple[float, ...], str]] = {
    "of the cold the fastest": ((1, 3, 2, 9), (0.08, 0.04, 0.06, 0.01), "r1"),
    "the fastest though it is busier": ((2, 2, 2, 2), (0.3, 0.2, 0.1, 0.4), "r2"),
    "of two the less busy": ((1, 0), (0.01, 0.9), "r1"),
    "of two alike the faster": ((1, 1), (0.9, 0.01), "r1"),
}


@pytest.mark.parametrize(("busy", "latencies", "picked"), HOT_COLD.values(), ids=HOT_COLD)
def test_prequal_takes(busy: tuple[int, ...], latencies: tuple[float, ...], picked: str) -> None:
    made, time = weighted(*[1.0] * len(busy)), Time()
    occupy(made, *busy)
    assert prequal(made, time, *latencies).pick(made.version(), None).name == picked


def test_latency_is_the_median_at_about_the_present_load() -> None:
    made, time = weighted(1, 1), Time()
    balancer = Prequal(10.0, Random(1).random, time)
    a = replica(made, 0)
    for in_flight, seconds in ((1, 0.1), (1, 9.0), (1, 0.2), (5, 0.7)):
        a.in_flight = in_flight
        balancer.replied(a, seconds)
    for in_flight, expected in ((0, 0.2), (4, 0.7), (7, 0.7), (40, 0.7)):
        a.in_flight = in_flight
        assert balancer.latency(a, time.now) == expected


def test_prequal_learns_that_requests_are_given_up_late() -> None:
    made = house(*(replica_entry(n, slots=100) for n in range(2)))
    balancer = prequal(made, Time(), 0.5, 0.6)
    for _ in range(7):
        balancer.silent(replica(made, 0), 0.1)
    assert balancer.latency(replica(made, 0), 0.0) == 0.5
    for _ in range(7):
        balancer.silent(replica(made, 0), 0.9)
    assert balancer.pick(made.version(), None).name == "r1"


def test_prequal_passes_over_one_that_fails_until_it_is_forgiven() -> None:
    made, time = weighted(1, 1), Time()
    balancer = prequal(made, time, 0.001, 1.0)
    balancer.failed(replica(made, 0), 0.0)
    occupy(made, 0, 50)
    assert balancer.pick(made.version(), None).name == "r1"
    time.now += 60
    assert balancer.pick(made.version(), None).name == "r0"


def test_prequal_picks_among_those_that_fail_when_all_do() -> None:
    made, time = weighted(1, 1), Time()
    balancer = prequal(made, time, 0.1, 0.1)
    for n in (0, 1):
        balancer.failed(replica(made, n), 0.0)
    occupy(made, 1, 0)
    assert balancer.pick(made.version(), None).name == "r1"


def test_prequal_tries_one_again_that_stood_idle_for_its_turns() -> None:
    made, time = weighted(1, 1, 1), Time()
    balancer = prequal(made, time, 9.0, 0.1, 0.1)
    picks = [balancer.pick(made.version(), None).name for _ in range(302)]
    assert picks.index("r0") == 301


# consistent hash


def ring(made: House, factor: float = 1.25) -> ConsistentHash:
    return ConsistentHash(LeastRequest(Random(1).random), factor)


def owners(made: House, balancer: ConsistentHash, keys: int = 3000) -> dict[int, str]:
    return {n: balancer.pick(made.version(), b"user-%d" % n).name for n in range(keys)}


def members(count: int, *, without: int = -1) -> House:
    entries = [replica_entry(n, slots=100) for n in range(count) if n != without]
    return house(*entries)


def test_a_key_stays_whoever_asks() -> None:
    assert owners(members(10), ring(members(10))) == owners(members(10), ring(members(10)))


@pytest.mark.parametrize("count", [2, 5, 20])
def test_a_replica_that_goes_leaves_only_its_own_keys(count: int) -> None:
    before = owners(members(count), ring(members(count)))
    gone = members(count, without=1)
    after = owners(gone, ring(gone))
    moved = [n for n in before if before[n] != after[n]]
    assert {before[n] for n in moved} == {"r1"}
    assert len(moved) / len(before) == pytest.approx(1 / count, rel=0.35)


def test_the_ring_follows_the_membership() -> None:
    made = members(5)
    balancer = ring(made)
    before = owners(made, balancer)
    made.members(version_entry("v1", *[replica_entry(n, slots=100) for n in range(6)]))
    after = owners(made, balancer)
    assert {after[n] for n in before if before[n] != after[n]} == {"r5"}


def test_keys_go_by_weight() -> None:
    made = weighted(1, 2)
    counts = Counter(owners(made, ring(made)).values())
    assert counts["r1"] / counts["r0"] == pytest.approx(2, rel=0.3)


def test_a_key_goes_on_along_the_ring_while_its_replica_is_at_its_bound() -> None:
    made = members(4)
    balancer = ring(made)
    key = next(b"user-%d" % n for n, owner in owners(made, balancer).items() if owner == "r0")
    occupy(made, 4, 2, 2, 1)  # ceil(1.25 * 10 / 4) is 4
    assert balancer.pick(made.version(), key).name != "r0"
    for _ in range(2):
        replica(made, 0).release()
        made.version().counters.add(words.RELEASED)
    assert balancer.pick(made.version(), key).name == "r0"


def test_what_is_reported_counts_to_the_bound() -> None:
    made = members(4)
    balancer = ring(made)
    key = next(b"user-%d" % n for n, owner in owners(made, balancer).items() if owner == "r0")
    replica(made, 0).elsewhere = 50.0
    assert balancer.pick(made.version(), key).name != "r0"


def test_no_key_is_lost_when_everyone_is_beyond_its_bound() -> None:
    made = members(2)
    balancer = ring(made)
    before = owners(made, balancer, 50)
    for n in (0, 1):
        replica(made, n).elsewhere = 1000.0
    assert owners(made, balancer, 50) == before


def test_requests_without_a_key_are_balanced() -> None:
    made = members(2)
    occupy(made, 3, 0)
    assert ring(made).pick(made.version(), None).name == "r1"


def test_in_a_slow_start_keys_come_over_one_by_one() -> None:
    made = members(4)
    balancer = ring(made)
    warm = owners(made, balancer)
    replica(made, 0).warmth = 0.3
    half = owners(made, balancer)
    early = {n for n, owner in half.items() if owner == "r0"}
    mine = {n for n, owner in warm.items() if owner == "r0"}
    assert early < mine
    assert len(early) / len(mine) == pytest.approx(0.3, abs=0.08)
    replica(made, 0).warmth = 0.6
    later = {n for n, owner in owners(made, balancer).items() if owner == "r0"}
    assert early < later < mine


# slow start


@pytest.mark.parametrize(
    ("age", "window", "part"),
    [
        (0, 30, 0.1),
        (1.5, 30, 0.1),
        (6, 30, 0.2),
        (15, 30, 0.5),
        (30, 30, 1),
        (99, 30, 1),
        (0, 0, 1),
    ],
    ids=["new", "still the least", "at 6 of 30 s", "half way", "over", "long over", "switched off"],
)
def test_ramp(age: float, window: float, part: float) -> None:
    assert ramp(age, window) == pytest.approx(part)


def warming(count: int, window: float) -> House:
    made = house(*[replica_entry(n, slots=100) for n in range(count)])
    entry = made.pool().entry
    balancing = replace(entry.balancing, slow_start=window)
    made.pool().configure(replace(entry, balancing=balancing))
    return made


def test_a_newcomer_warms_up_beside_the_warm() -> None:
    made = warming(2, 30.0)
    replica(made, 0).ready_at = 0.0
    assert reshare(made.version(), 100.0)
    assert (replica(made, 0).share, replica(made, 1).share) == (1.0, 0.1)
    assert made.version().uneven
    assert reshare(made.version(), 115.0)
    assert replica(made, 1).share == 0.5
    assert not reshare(made.version(), 130.0)
    assert replica(made, 1).share == 1.0
    assert not made.version().uneven


def test_all_new_share_evenly() -> None:
    made = warming(3, 30.0)
    assert reshare(made.version(), 100.0)
    assert [r.share for r in made.version().replicas.values()] == [1.0, 1.0, 1.0]
    assert not made.version().uneven


def test_weights_are_relative_to_the_largest() -> None:
    made = weighted(0.5, 2.0)
    assert [r.share for r in made.version().replicas.values()] == [0.25, 1.0]
