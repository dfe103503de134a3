"""The policies in a seeded model of a fleet: what unequal, failing and new replicas get."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from random import Random

import pytest
from msgspec.structs import replace

from router.balance import Balancer
from router.balance.consistent_hash import ConsistentHash
from router.balance.least_request import LeastRequest
from router.balance.peak_ewma import PeakEwma
from router.balance.prequal import Prequal
from router.balance.round_robin import RoundRobin
from router.balance.slow_start import reshare
from tests.unit.router.fleet_sim import Simulation, failing, usual
from tests.unit.router.kit import house, replica_entry
from tests.unit.router.test_router_outliers import SETTINGS

POLICIES: dict[str, Callable[[Simulation], Balancer]] = {
    "consistent_hash": lambda _: ConsistentHash(LeastRequest(Random(3).random)),
    "least_request": lambda _: LeastRequest(Random(3).random),
    "peak_ewma": lambda sim: PeakEwma(10.0, Random(3).random, sim.clock),
    "prequal": lambda sim: Prequal(10.0, Random(3).random, sim.clock),
    "round_robin": lambda _: RoundRobin(),
}
LEARNERS = ("peak_ewma", "prequal")
PER_REPLICA = 20.0
"""Requests a second; of 0.1 s, so two are in flight on each."""


def user(random: Random) -> bytes:
    return b"user-%d" % random.randrange(10_000)


def fleet(policy: str, count: int) -> Simulation:
    made = house(*[replica_entry(n, slots=100) for n in range(count)])
    sim = Simulation(made, {f"r{n}": usual(0.1) for n in range(count)})
    sim.use(POLICIES[policy](sim))
    return sim


@pytest.mark.parametrize("count", [2, 3, 10])
@pytest.mark.parametrize("policy", LEARNERS)
def test_one_that_fails_fast_gets_less_than_two_percent(policy: str, count: int) -> None:
    sim = fleet(policy, count)
    sim.services["r0"] = failing(0.002)
    sim.run(20.0, PER_REPLICA * count)
    assert sim.share("r0") < 0.02


@pytest.mark.parametrize("policy", LEARNERS)
def test_where_agents_think_for_long_failing_fast_is_no_advantage(policy: str) -> None:
    sim = fleet(policy, 5)
    sim.services = {f"r{n}": usual(20.0) for n in range(5)} | {"r0": failing(0.01)}
    sim.run(150.0, 10.0)
    assert sim.share("r0") < 0.02


@pytest.mark.parametrize("count", [3, 10])
@pytest.mark.parametrize("policy", LEARNERS)
def test_one_four_times_slower_gets_less_than_half_its_share(policy: str, count: int) -> None:
    sim = fleet(policy, count)
    sim.services["r0"] = usual(0.4)
    sim.run(20.0, PER_REPLICA * count)
    assert sim.share("r0") * count < 0.5


@pytest.mark.parametrize("policy", LEARNERS)
def test_the_tail_is_at_most_half_of_round_robins(policy: str) -> None:
    tails = {}
    for name in (policy, "round_robin"):
        sim = fleet(name, 10)
        sim.services["r0"] = usual(0.4)
        sim.run(20.0, PER_REPLICA * 10)
        tails[name] = sim.quantile(0.99)
    assert tails[policy] <= 0.5 * tails["round_robin"]


@pytest.mark.parametrize("policy", ["least_request", "peak_ewma"])
def test_two_choices_do_not_herd(policy: str) -> None:
    """At random the busiest of 50 would have 9 or more beside a mean of 2."""
    sim = fleet(policy, 50)
    sim.run(5.0, PER_REPLICA * 50)
    assert max(sim.most_in_flight.values()) <= 7


@pytest.mark.parametrize("factor", [1.25, 2.0])
def test_a_bounded_load_never_exceeds_its_factor(factor: float) -> None:
    made = house(*[replica_entry(n, slots=1000) for n in range(10)])
    sim = Simulation(made, {f"r{n}": usual(0.5) for n in range(10)})
    sim.use(ConsistentHash(LeastRequest(Random(3).random), factor))
    version = made.version()
    before: dict[str, int] = {}

    def check() -> None:
        now = {r.name: r.in_flight for r in version.replicas.values()}
        taken = [name for name, held in now.items() if held > before.get(name, 0)]
        for name in taken:
            assert now[name] <= ceil(factor * version.in_flight / 10)
        before.update(now)

    sim.run(20.0, 100.0, key=lambda random: b"%d" % random.randrange(3), each=check)
    assert len(sim.taken) > 3, "three keys alone would fill three replicas"


@pytest.mark.parametrize("policy", POLICIES)
def test_a_newcomer_begins_with_little_whatever_the_policy(policy: str) -> None:
    sim = fleet(policy, 10)
    pool = sim.made.pool()
    pool.configure(replace(pool.entry, balancing=replace(pool.entry.balancing, slow_start=30.0)))
    version = sim.made.version()
    for replica in version.replicas.values():
        replica.ready_at = 0.0
    reshare(version, sim.now)
    sim.run(5.0, PER_REPLICA * 10, key=user)
    newcomer = version.replicas["r0"]
    newcomer.ready_at = sim.now
    sim.taken.clear()

    def tick() -> None:
        reshare(version, sim.now)

    sim.run(3.0, PER_REPLICA * 10, key=user, each=tick)
    first = sim.share("r0") * 10
    assert first < 0.6, "a tenth of what the policy would give, and it likes the idle"
    sim.run(27.5, PER_REPLICA * 10, key=user, each=tick)
    assert not version.uneven


def test_outlier_rules_take_out_one_that_fails_under_least_request() -> None:
    made = house(*[replica_entry(n, slots=100) for n in range(5)])
    pool = made.pool()
    pool.configure(replace(pool.entry, outliers=SETTINGS))
    made.directory._equipment.fit(made.version())
    sim = Simulation(made, {f"r{n}": usual(0.1) for n in range(5)} | {"r0": failing(0.002)})
    sim.use(LeastRequest(Random(3).random))
    sim.run(5.0, 100.0)
    assert made.ejections == ["r0 for 30s: failures: 5 failures in a row"]
    assert sim.taken["r0"] < 20
