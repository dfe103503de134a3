"""A seeded discrete-event model: the real balancers before a hundred agents, without sockets.

Arrivals are Poisson, agents are those of `bench.balance.agents`. Slots are plenty, so that queues
form in the agents and the policy alone decides. Time is the model's; the gateway learns of a reply
when it is sent, and of nothing sooner.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.balance.agents import Profile, Station
from bench.balance.outcome import Reply, figures
from fleet.config.load import load_text
from fleet.model import Replica as Member
from fleet.model import ReplicaState
from fleet.telemetry.slab import ROW_WORDS
from fleet.wire import BalanceEntry
from headrace import compile as compiling
from router.admission import Admission
from router.balance import Balancer, Learner
from router.balance.least_request import LeastRequest
from router.balance.peak_ewma import PeakEwma
from router.balance.prequal import Prequal
from router.balance.round_robin import RoundRobin
from router.counters import Counters
from router.pool import Pool, Replica, Version

SLOTS = 100_000
"""Of the gateway, per replica: never full."""

WARM_UP = 2.0
"""Seconds at the beginning that are not counted."""

DECAY = BalanceEntry().decay
"""As it is by default."""

Random = Callable[[], float]
Clock = Callable[[], float]

POLICIES: dict[str, Callable[[Random, Clock], Balancer]] = {
    "least_request": lambda rand, _: LeastRequest(rand),
    "peak_ewma": lambda rand, clock: PeakEwma(DECAY, rand, clock),
    "prequal": lambda rand, clock: Prequal(DECAY, rand, clock),
    "round_robin": lambda *_: RoundRobin(),
}
"""The gateway's policies on the model's chance and time; without sessions, as here,
`consistent_hash` is `least_request`."""


def simulated(
    policy: str, profiles: Sequence[Profile], rate: float, seconds: float, seed: int
) -> dict[str, float]:
    """The figures of one run at `rate` requests a second."""
    now = 0.0
    version, admission = _house(len(profiles), lambda: now)
    version.balancer = POLICIES[policy](random.Random(f"{seed} pick").random, lambda: now)
    learner = version.balancer if isinstance(version.balancer, Learner) else None
    # replicas are named in the order of the agents
    stations = {
        f"r{number}": Station(profile, random.Random(f"{seed} {number}"))
        for number, profile in enumerate(profiles)
    }
    arrivals = random.Random(f"{seed} arrivals")
    numbers = itertools.count()
    ends: list[tuple[float, int, float, Replica]] = []
    replies: list[Reply] = []
    at = arrivals.expovariate(rate)
    while at < WARM_UP + seconds or ends:
        if at < WARM_UP + seconds and (not ends or at <= ends[0][0]):
            now = at
            replica = admission.lease(version)
            assert replica is not None
            done = stations[replica.name].done_at(now)
            heapq.heappush(ends, (done, next(numbers), now, replica))
            at += arrivals.expovariate(rate)
            continue
        now, _, began, replica = heapq.heappop(ends)
        profile = stations[replica.name].profile
        if learner is not None and profile.fails:
            learner.failed(replica, 0.0)
        elif learner is not None:
            learner.replied(replica, now - began)
        admission.release(replica, now - began)
        if began >= WARM_UP:
            replies.append(Reply(now - began, 500 if profile.fails else 200, profile.name, ""))
    return figures(replies, seconds)


def _house(count: int, clock: Clock) -> tuple[Version, Admission]:
    """One pool of `count` replicas that serve."""
    text = "pools: {p: {driver: {static: {endpoints: ['http://127.0.0.1:1']}}}}"
    config = load_text(text, Path("model.yaml"), {})
    replicas = [
        Member(
            name=f"r{number}",
            pool="p",
            version="v1",
            host="127.0.0.1",
            port=1 + number,
            slots=SLOTS,
            state=ReplicaState.READY,
            cell=number,
        )
        for number in range(count)
    ]
    weights = {"p": dict.fromkeys(config.pools["p"].versions, 1)}

    def block(_: str, __: str) -> int:
        return 0

    table = compiling.table(config, 1, weights, block, ())
    entries = compiling.version_entries("p", weights["p"], replicas, block, shared=False)
    row = memoryview(bytearray(ROW_WORDS * 8)).cast("Q")
    version = Version("v1", Pool(table.pools[0]), Counters(row, 0), 0)
    for entry in entries[0].replicas:
        replica = Replica(entry, version, row)
        version.replicas[entry.name] = replica
        version.offer(replica)
    return version, Admission(lambda _: None, lambda _: None, lambda _: None, clock)
