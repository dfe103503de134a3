"""The simulator against queueing theory, against arithmetic, and against itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from simulation_kit import poisson, requests, setup

from fleet.config.schema import Scale
from fleet.model import Observation
from scaler.simulate.controller import PolicyController, constant
from scaler.simulate.distribution import parse_distribution
from scaler.simulate.engine import simulate
from scaler.simulate.run import Run, flips, quantile
from scaler.simulate.setup import VersionSetup
from scaler.simulate.workload import Workload

CASES = Path(__file__).parents[4] / "shared" / "cases" / "erlang.json"
THEORY = {(1, 0.5), (3, 2.0), (10, 8.0)}
"""Servers and offered load, far enough from saturation for the runs to be short."""


def erlang_cases() -> list[dict[str, Any]]:
    if not CASES.exists():
        return []
    found: list[dict[str, Any]] = json.loads(CASES.read_text())["erlang_c"]
    return [case for case in found if (case["servers"], case["offered"]) in THEORY]


def fixed(size: int) -> Any:
    return constant({"v1": size})


def scripted(*sizes: tuple[float, int]) -> Any:
    """The last size whose time has come."""

    def decide(seen: Sequence[Observation]) -> Mapping[str, int]:
        return {"v1": [size for at, size in sizes if at <= seen[0].at][-1]}

    return decide


@pytest.mark.slow
@pytest.mark.skipif(not CASES.exists(), reason="needs the shared cases, ../shared/cases")
@pytest.mark.parametrize("case", erlang_cases(), ids=lambda c: f"{c['servers']}-{c['offered']}")
def test_waits_are_those_of_erlangs_formula(case: Mapping[str, float]) -> None:
    """Within 5 %, over 800,000 requests: waits are correlated, so it takes so many."""
    servers, offered = int(case["servers"]), case["offered"]
    endless = setup(initial=servers, queue_limit=10**6, queue_timeout=1e9, scale=Scale(tick="1h"))
    runs = [
        simulate(endless, poisson(offered, 1.0, 200_000 / offered, seed), fixed(servers))
        for seed in range(4)
    ]
    admitted = sum(run.admitted for run in runs)
    waits = [wait for run in runs for wait in run.waits]
    late = sum(wait > 1.0 for wait in waits)
    assert len(waits) / admitted == pytest.approx(case["erlang_c"], rel=0.05)
    assert sum(waits) / admitted == pytest.approx(case["mean_wait_over_service"], rel=0.05)
    assert late / admitted == pytest.approx(case["p_wait_gt_1_service"], rel=0.05)
    assert sum(run.late for run in runs) == late


def test_two_runs_with_one_seed_are_equal_and_with_two_seeds_are_not() -> None:
    settings = Scale(min=1, max=20)
    pool = setup(scale=settings, cold_start=parse_distribution("lognormal:5s,20s"))
    workload = poisson(5.0, 0.8, 900.0)

    def run(seed: int) -> Run:
        return simulate(pool, workload, PolicyController(settings), seed=seed)

    assert run(1) == run(1)
    assert run(1) != run(2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("limit", [0, 3, 200])
def test_every_request_is_admitted_shed_expired_or_waiting(seed: int, limit: int) -> None:
    settings = Scale(min=0, max=8)
    pool = setup(
        scale=settings,
        queue_limit=limit,
        queue_timeout=2.0,
        versions=(
            VersionSetup(name="v1", weight=80, slots=2),
            VersionSetup(name="v2", weight=20, slots=3),
        ),
    )
    run = simulate(pool, poisson(12.0, 1.0, 300.0, seed), PolicyController(settings), seed=seed)
    assert run.arrived == len(poisson(12.0, 1.0, 300.0, seed).arrivals)
    assert run.arrived == run.admitted + run.shed + run.expired + run.waiting
    assert run.late <= len(run.waits) - run.expired
    assert max(run.series.queued) <= limit


def by_the_book(workload: Workload, servers: int, limit: int, timeout: float) -> list[float | None]:
    """The wait of each request that got a slot or whose time was over, None for the refused.

    First come first served, written down anew: each takes the slot that is free first.
    """
    free = [0.0] * servers
    waits: list[float | None] = []
    begins: list[float] = []
    """When those that queued leave the queue, one way or the other."""
    for arrival, service in zip(workload.arrivals, workload.services, strict=True):
        earliest = min(free)
        if earliest > arrival and sum(begin > arrival for begin in begins) >= limit:
            waits.append(None)
            continue
        wait = max(0.0, earliest - arrival)
        waits.append(min(wait, timeout))
        begins.append(arrival + waits[-1])
        if wait < timeout:
            free[free.index(earliest)] = max(earliest, arrival) + service
    return waits


@pytest.mark.parametrize("seed", range(30))
def test_queues_are_those_of_a_naive_model(seed: int) -> None:
    rng = Random(seed)
    servers, limit, timeout = rng.randint(1, 5), rng.choice([0, 1, 3, 20]), rng.choice([0.5, 2, 5])
    workload = poisson(servers * rng.uniform(0.5, 2.0), 1.0, 150.0, seed)
    late = Workload(arrivals=workload.arrivals, services=workload.services, end=200.0)
    pool = setup(
        initial=servers,
        queue_limit=limit,
        queue_timeout=float(timeout),
        scale=Scale(tick=rng.choice(["370ms", "1s", "7s"])),
    )
    run = simulate(pool, late, fixed(servers))
    expected = by_the_book(workload, servers, limit, timeout)
    waits = sorted(wait for wait in expected if wait)
    assert run.shed == expected.count(None)
    assert run.expired == waits.count(timeout)
    assert list(run.waits) == pytest.approx(waits)


def test_a_request_waits_for_the_slot_and_no_longer() -> None:
    run = simulate(setup(), requests((0.1, 2.0), (0.3, 1.0), (0.4, 1.0), end=10.0), fixed(1))
    assert list(run.waits) == [pytest.approx(1.8), pytest.approx(2.7)]
    assert (run.late, run.missed, run.replica_seconds) == (2, 2, 10.0)


def test_a_full_queue_refuses_and_a_long_wait_expires() -> None:
    pool = setup(queue_limit=1, queue_timeout=3.0)
    run = simulate(pool, requests((0.1, 9.0), (0.2, 1.0), (0.3, 1.0), end=8.0), fixed(1))
    assert (run.admitted, run.shed, run.expired, run.waiting) == (1, 1, 1, 0)
    assert run.miss_ratio == pytest.approx(2 / 3)


def test_who_still_waits_at_the_end_is_a_miss_only_beyond_the_slo() -> None:
    run = simulate(setup(), requests((0.1, 9.0), (1.0, 1.0), (4.5, 1.0), end=5.0), fixed(1))
    assert (run.waiting, run.overdue, run.missed) == (2, 1, 1)
    assert [run.wait(share) for share in (0.3, 0.6, 1.0)] == [0.0, 0.5, 4.0]


def test_the_series_lasts_from_the_start_to_the_end() -> None:
    run = simulate(setup(), requests((0.1, 0.05), (0.2, 0.4), end=0.5), fixed(1))
    assert list(run.series.at) == [0.0, 0.5]
    assert list(run.series.arrived) == [0, 2]


def test_a_start_takes_its_time_and_is_paid_from_its_beginning() -> None:
    sizes = scripted((0.0, 1), (2.0, 2))
    pool = setup(queue_timeout=60.0)
    run = simulate(pool, requests((1.0, 30.0), (1.5, 1.0), end=20.0), sizes)
    # the queue that forms at 1.5 s moves the ticks: the next is at 2.5 s
    assert list(run.waits) == [pytest.approx(12.5 - 1.5)]
    assert run.starts == 1
    assert run.replica_seconds == pytest.approx(20.0 + 17.5)


def test_a_cancelled_start_costs_until_then_and_takes_nothing() -> None:
    sizes = scripted((0.0, 1), (2.0, 3), (5.0, 1))
    run = simulate(setup(), requests((1.0, 1.0), end=20.0), sizes)
    assert run.replica_seconds == pytest.approx(20.0 + 2 * 3.0)
    assert run.changes == ((0.0, 1), (2.0, 3), (5.0, 1))


def test_the_idle_replica_leaves_first_and_the_busy_one_finishes() -> None:
    pool = setup(initial=2)
    busy_first = scripted((0.0, 2), (3.0, 1), (4.0, 0))
    run = simulate(pool, requests((1.0, 8.0), end=20.0), busy_first)
    assert run.replica_seconds == pytest.approx(3.0 + 9.0)
    assert (run.admitted, run.cut) == (1, 0)


def test_a_drain_ends_at_its_timeout_and_cuts_what_is_left() -> None:
    pool = setup(drain_timeout=2.0)
    run = simulate(pool, requests((1.0, 8.0), end=20.0), scripted((0.0, 1), (3.0, 0)))
    assert run.replica_seconds == pytest.approx(5.0)
    assert run.cut == 1


def test_what_is_cut_counts_though_it_would_have_lasted_beyond_the_end() -> None:
    pool = setup(drain_timeout=2.0)
    run = simulate(pool, requests((1.0, 80.0), end=20.0), scripted((0.0, 1), (3.0, 0)))
    assert run.cut == 1


def test_from_zero_a_request_waits_for_its_replica() -> None:
    settings = Scale(min=0, max=4, policy="target")
    versions = (VersionSetup(name="v1", weight=100, slots=2),)
    pool = setup(scale=settings, initial=0, queue_timeout=60.0, versions=versions)
    run = simulate(pool, requests((7.3, 1.0), end=30.0), PolicyController(settings))
    assert list(run.waits) == [pytest.approx(10.0, abs=0.051)]
    assert run.starts == 1


def test_versions_get_their_shares() -> None:
    seen: dict[str, int] = {}

    def decide(observations: Sequence[Observation]) -> Mapping[str, int]:
        seen.update({one.version: one.arrived for one in observations})
        return {"v1": 5, "v2": 5}

    versions = (
        VersionSetup(name="v1", weight=90, slots=1),
        VersionSetup(name="v2", weight=10, slots=1),
    )
    simulate(setup(versions=versions, initial=10), poisson(10.0, 0.1, 1000.0), decide)
    assert seen["v2"] / sum(seen.values()) == pytest.approx(0.1, abs=0.01)


def test_a_version_without_a_ready_replica_is_passed_over() -> None:
    versions = (
        VersionSetup(name="v1", weight=50, slots=40),
        VersionSetup(name="v2", weight=50, slots=40),
    )
    workload = poisson(10.0, 0.1, 100.0)
    pool = setup(versions=versions)
    run = simulate(pool, workload, lambda seen: {"v1": 1, "v2": 0})
    assert (run.admitted, list(run.waits)) == (len(workload.arrivals), [])
    without = simulate(pool, workload, lambda seen: {"v1": 0, "v2": 0})
    assert without.expired > 0


def test_a_version_with_static_endpoints_keeps_them_and_is_not_decided() -> None:
    versions = (
        VersionSetup(name="v1", weight=50, slots=40),
        VersionSetup(name="v2", weight=50, slots=40, fixed=3),
    )
    seen: set[str] = set()

    def decide(observations: Sequence[Observation]) -> Mapping[str, int]:
        seen.update(one.version for one in observations)
        return {"v1": 2}

    run = simulate(setup(versions=versions, initial=2), poisson(1.0, 0.1, 100.0), decide)
    assert seen == {"v1"}
    assert run.replica_seconds == pytest.approx(500.0)
    assert run.changes == ((0.0, 5),)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(0, 4)], 0),
        ([(0, 4), (60, 6), (100, 5), (160, 3), (900, 4)], 1),
        ([(0, 4), (60, 6), (120, 7)], 0),
        ([(0, 4), (60, 6), (360, 5)], 1),
        ([(0, 4), (60, 6), (361, 5)], 0),
    ],
)
def test_flips_are_turns_within_300_seconds(sizes: list[tuple[float, int]], expected: int) -> None:
    assert flips(sizes) == expected


@pytest.mark.parametrize(
    ("rising", "zeros", "share", "expected"),
    [
        ([], 0, 0.5, 0.0),
        ([1.0], 99, 0.99, 0.0),
        ([1.0], 98, 0.99, 1.0),
        ([1.0, 2.0, 3.0, 4.0], 0, 0.5, 2.0),
        ([1.0, 2.0], 2, 0.75, 1.0),
    ],
)
def test_quantiles_are_nearest_ranks(
    rising: list[float], zeros: int, share: float, expected: float
) -> None:
    assert quantile(rising, share, zeros=zeros) == expected
