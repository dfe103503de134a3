"""Five times more requests than can be served, in virtual time, through the real admission.

A seeded discrete-event model: Poisson arrivals, 16 slots, 100 ms of service on the average, three
classes of which the highest is a tenth of the arrivals (half of the capacity).
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

import pytest

from fleet import wire
from router.pool import Replica
from tests.unit.router.kit import House, Waits, pool_entry, replica_entry, version_entry

SLOTS, SERVICE, SECONDS, SEED = 16, 0.1, 60.0, 7
CAPACITY = SLOTS / SERVICE
QUEUE = wire.QueueEntry(
    classes=("high", "mid", "low"), order="fifo", aging=5.0, target=0.1, interval=0.5
)


class Request(Waits):
    """A request that notes when it came, and is served as soon as it has a slot."""

    def __init__(self, model: Model, band: int, now: float) -> None:
        super().__init__(f"{now:.4f}", now + 10.0, band=band, tenant=b"t%d" % (band % 3))
        self.model = model
        self.came = now

    def granted(self, replica: Replica) -> None:
        super().granted(replica)
        self.model.serve(self, replica)


@dataclass
class Model:
    house: House
    rand: random.Random
    events: list[tuple[float, int, object]] = field(default_factory=list)
    took: list[list[float]] = field(default_factory=lambda: [[], [], []])
    count: int = 0
    busy: float = 0.0

    def at(self, when: float, what: object) -> None:
        self.count += 1
        heapq.heappush(self.events, (when, self.count, what))

    def serve(self, request: Request, replica: Replica) -> None:
        service = self.rand.uniform(0.5, 1.5) * SERVICE
        self.busy += service
        self.at(self.house.now + service, (request, replica, service))

    def arrive(self, band: int) -> None:
        house = self.house
        request = Request(self, band, house.now)
        replica = house.admission.lease(house.version())
        if replica is not None:
            self.serve(request, replica)
        elif not house.admission.enqueue(request, house.version()):
            request.shed("queue_full")

    def run(self, rate: float, *, only_high: bool = False) -> None:
        tick = 0.0
        self.at(self.rand.expovariate(rate), None)
        while self.events:
            now, _, what = heapq.heappop(self.events)
            self.house.now = now
            if now >= tick:
                self.house.admission.expire(self.house.pool(), now)
                tick = now + 0.05
            if isinstance(what, tuple):
                request, replica, service = what
                self.took[request.band].append(now - request.came)
                self.house.admission.release(replica, service)
            elif now < SECONDS:
                self.arrive(0 if only_high else self.rand.choices((0, 1, 2), (1, 4, 5))[0])
                self.at(now + self.rand.expovariate(rate), None)


def model(queue: wire.QueueEntry = QUEUE, limit: int = 200) -> Model:
    house = House()
    house.apply(pool_entry(version_entry(), limit=limit, queue=queue))
    house.members(version_entry("v1", replica_entry(0, slots=SLOTS)))
    return Model(house, random.Random(SEED))


def p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * len(values))]


@pytest.fixture(scope="module")
def unloaded() -> float:
    """p99 in seconds of the highest class when it is all there is."""
    run = model()
    run.run(CAPACITY / 2, only_high=True)
    return p99(run.took[0])


@pytest.mark.parametrize("order", ["edf", "fifo", "lifo"])
@pytest.mark.parametrize("tenant", [None, "X-Tenant"], ids=["one tenant", "tenants"])
def test_the_work_done_and_the_highest_class_do_not_suffer(
    order: str, tenant: str | None, unloaded: float
) -> None:
    queue = wire.QueueEntry(
        classes=QUEUE.classes, order=order, aging=5.0, target=0.1, interval=0.5,
        tenant_header=tenant,
    )  # fmt: skip
    run = model(queue)
    run.run(5 * CAPACITY)
    assert run.busy >= 0.95 * SLOTS * SECONDS
    assert p99(run.took[0]) <= 1.5 * unloaded
    assert len(run.took[0]) >= 0.99 * CAPACITY / 2 * SECONDS * 0.95, "the highest class was refused"
    assert run.house.pool().queued == 0
    leases = run.house.version().replicas["r0"]
    assert leases.in_flight == 0


def test_without_classes_those_who_are_served_have_waited_twice_the_target_at_most() -> None:
    run = model(wire.QueueEntry(target=0.1, interval=0.5), limit=1000)
    run.run(5 * CAPACITY)
    settled = run.took[0][len(run.took[0]) // 10 :] + run.took[1] + run.took[2]
    assert run.busy >= 0.95 * SLOTS * SECONDS
    assert p99(settled) <= 2 * 0.1 + 1.5 * SERVICE + 0.06
