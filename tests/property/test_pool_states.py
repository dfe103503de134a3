"""Admission and membership against a naive model, over any order of events."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fleet.telemetry import slab as words
from fleet.telemetry.slab import block_at, cell_at
from router.pool import Replica
from tests.unit.router.kit import House, Waits, pool_entry, replica_entry, version_entry

NUMBERS = st.integers(1, 4)
LIMIT = 3


class Admitting(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.house.apply(pool_entry(version_entry(), limit=LIMIT))
        self.slots: dict[int, int] = {}
        """Slots of the members that serve, by number."""
        self.out: dict[int, int] = {}
        """Members that do not serve."""
        self.leases: list[Replica] = []
        self.queue: list[Waits] = []
        self.now = 0.0

    def publish(self) -> None:
        entries = [replica_entry(n, slots=s) for n, s in self.slots.items()]
        entries += [replica_entry(n, slots=s, serving=False) for n, s in self.out.items()]
        self.house.members(version_entry("v1", *entries))
        self.settle()

    def settle(self) -> None:
        """Those granted must be the first of the queue, in order."""
        granted = [w for w in self.queue if w.fate == ["granted"]]
        assert granted == self.queue[: len(granted)]
        self.queue = self.queue[len(granted) :]
        for waiter in granted:
            assert waiter.replica is not None
            self.leases.append(waiter.replica)

    @rule(number=NUMBERS, slots=st.integers(1, 3))
    def serve(self, number: int, slots: int) -> None:
        self.out.pop(number, None)
        self.slots[number] = slots
        self.publish()

    @precondition(lambda self: self.slots)
    @rule(data=st.data())
    def take_out(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.slots)))
        self.out[number] = self.slots.pop(number)
        self.publish()

    @rule()
    def arrive(self) -> None:
        version = self.house.version()
        replica = self.house.admission.lease(version)
        if replica is not None:
            assert not self.queue, "overtook the queue"
            self.leases.append(replica)
            return
        waiter = Waits("w", self.now + 10)
        taken = self.house.admission.enqueue(waiter, version)
        assert taken is (len(self.queue) < LIMIT)
        if taken:
            self.queue.append(waiter)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        replica = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        self.house.admission.release(replica, 0.5)
        self.settle()

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        waiter = self.queue.pop(data.draw(st.integers(0, len(self.queue) - 1)))
        self.house.admission.leave(waiter, self.house.version())

    @rule(seconds=st.floats(0, 11))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        due = [w for w in self.queue if w.queued_until <= self.now]
        self.house.admission.expire(self.house.pool(), self.now)
        assert [w.fate for w in due] == [["expired"]] * len(due)
        self.queue = [w for w in self.queue if not w.fate]

    @invariant()
    def the_queue_is_the_models(self) -> None:
        assert list(self.house.version().waiting) == self.queue
        assert self.house.pool().queued == len(self.queue)

    @invariant()
    def the_free_are_those_with_a_slot(self) -> None:
        version = self.house.version()
        assert [r.place for r in version.free] == list(range(len(version.free)))
        held = {n: sum(r.name == f"r{n}" for r in self.leases) for n in self.slots}
        expected = {f"r{n}" for n, s in self.slots.items() if held[n] < s}
        assert {r.name for r in version.free} == expected
        assert not (self.queue and expected)

    @invariant()
    def the_counters_balance(self) -> None:
        row = self.house.row
        block = block_at(1)
        assert row[block + words.LEASED] - row[block + words.RELEASED] == len(self.leases)
        assert row[block + words.QUEUED] - row[block + words.UNQUEUED] == len(self.queue)
        cells = sum(row[cell_at(n)] - row[cell_at(n) + 1] for n in range(1, 5))
        assert cells == len(self.leases)


TestAdmitting = Admitting.TestCase
TestAdmitting.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
