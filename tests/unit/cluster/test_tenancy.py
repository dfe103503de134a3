"""A member's side of loans."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.model import Replica, ReplicaState
from scaler.cluster.messages import Loan, Plan
from scaler.cluster.tenancy import Tenancy


class Gateway:
    """What the data plane was told."""

    def __init__(self) -> None:
        self.limits: Mapping[str, int] = {}
        self.borrowed: Mapping[str, Replica] = {}
        self.lent: frozenset[str] = frozenset()
        self.slots_lent: dict[str, int] = {}
        self.in_flight: dict[str, int] = {}

    def limit(self, limits: Mapping[str, int]) -> None:
        self.limits = limits

    def borrow(self, replicas: Mapping[str, Replica]) -> None:
        self.borrowed = replicas

    def held(self, replica: str) -> int:
        limit = self.limits.get(replica, 0)
        if replica in self.borrowed:
            limit = self.borrowed[replica].slots
        return max(limit, self.in_flight.get(replica, 0))

    def lend(self, replicas: Mapping[str, int]) -> None:
        self.lent, self.slots_lent = frozenset(replicas), dict(replicas)


def replica(state: ReplicaState = ReplicaState.READY, host: str = "10.0.0.1") -> Replica:
    return Replica(
        name="p-v1-1", pool="p", version="v1", host=host, port=80, slots=4, state=state, cell=0
    )


class Side:
    """One member and the plans it reads."""

    def __init__(self) -> None:
        self.gateway, self.own, self.beat = Gateway(), [replica()], 0
        self.tenancy = Tenancy("a", "s", self.gateway, lambda pool: self.own)

    def report(self) -> dict[str, int]:
        self.beat += 1
        return self.tenancy.reported(self.beat, self.tenancy.offers("p", "v1"))

    def follow(self, *, heard: int = 0, start: str = "s", **loans: dict[str, int]) -> None:
        made = {
            f"p-v1-1@{owner}": Loan(
                pool="p",
                version="v1",
                owner=owner,
                host="10.0.0.9",
                port=81,
                slots=4,
                serving=True,
                shares=shares,
            )
            for owner, shares in loans.items()
        }
        self.tenancy.follow(
            Plan(
                token=1,
                number=1,
                members=("a", "b"),
                shares={},
                room={},
                loans=made,
                heard={"a": (start, heard)},
            )
        )


def test_ready_replicas_with_an_endpoint_are_offered() -> None:
    side = Side()
    assert [offer.slots for offer in side.tenancy.offers("p", "v1")] == [4]
    assert side.tenancy.offers("p", "v2") == ()
    for other in (replica(ReplicaState.DRAINING), replica(host="")):
        side.own = [other]
        assert side.tenancy.offers("p", "v1") == ()


def test_limits_and_loans_are_followed_and_reported() -> None:
    side = Side()
    assert side.report() == {}
    side.follow(a={"a": 3, "b": 1}, b={"a": 2, "b": 2})
    assert side.gateway.limits == {"p-v1-1": 3}
    assert [(r.name, r.host, r.slots) for r in side.gateway.borrowed.values()] == [
        ("p-v1-1@b", "10.0.0.9", 2)
    ]
    side.gateway.in_flight = {"p-v1-1": 4}
    assert side.report() == {"p-v1-1@a": 4, "p-v1-1@b": 2}


def test_what_is_taken_back_is_reported_until_it_is_free() -> None:
    side = Side()
    side.follow(b={"a": 2, "b": 2})
    side.gateway.in_flight = {"p-v1-1@b": 1}
    side.follow(b={"a": 0, "b": 4})
    assert side.gateway.borrowed == {}
    assert side.report() == {"p-v1-1@b": 1}
    side.gateway.in_flight = {}
    assert side.report() == {}


def test_an_own_replica_may_be_in_use_until_the_leader_has_heard_otherwise() -> None:
    side = Side()
    assert side.gateway.lent == frozenset()
    side.report()
    assert side.gateway.lent == {"p-v1-1"}
    side.own = [replica(ReplicaState.DRAINING)]
    side.follow(heard=1)
    assert side.gateway.lent == {"p-v1-1"}
    side.report()
    side.follow(heard=1)
    side.follow(heard=9, start="of before")
    side.follow(heard=2, a={"a": 0, "b": 1})
    assert side.gateway.lent == {"p-v1-1"}
    side.follow(heard=2)
    assert side.gateway.lent == frozenset()


def test_it_is_told_how_many_slots_others_have() -> None:
    side = Side()
    side.report()
    assert side.gateway.slots_lent == {"p-v1-1": 0}
    side.follow(a={"a": 1, "b": 3})
    assert side.gateway.slots_lent == {"p-v1-1": 3}
    side.follow(a={"a": 4, "b": 0})
    assert side.gateway.slots_lent == {"p-v1-1": 1}, "taken back, and perhaps in use"
    side.follow()
    assert side.gateway.slots_lent == {"p-v1-1": 0}


def test_a_loan_of_a_replica_that_is_not_offered_keeps_it_from_being_empty() -> None:
    side = Side()
    side.own = [replica(ReplicaState.UNHEALTHY)]
    side.report()
    side.follow(heard=1, a={"a": 0, "b": 0})
    assert side.gateway.slots_lent == {"p-v1-1": 4}
    side.follow(heard=1)
    assert side.gateway.lent == frozenset()


def test_without_the_store_nothing_is_borrowed_and_in_the_end_nothing_lent() -> None:
    side = Side()
    side.report()
    side.follow(a={"a": 1, "b": 3}, b={"a": 2, "b": 2})
    side.tenancy.withdraw()
    assert (side.gateway.borrowed, side.gateway.limits) == ({}, {"p-v1-1": 1})
    side.tenancy.reclaim()
    assert (side.gateway.limits, side.gateway.lent) == ({}, frozenset())


def test_one_that_retires_offers_nothing_and_still_borrows() -> None:
    side = Side()
    side.tenancy.retire()
    assert side.tenancy.offers("p", "v1") == ()
    side.follow(b={"a": 2, "b": 2})
    assert [r.slots for r in side.gateway.borrowed.values()] == [2]


def test_one_that_stops_offers_and_borrows_nothing_more() -> None:
    side = Side()
    side.report()
    side.follow(b={"a": 2, "b": 2})
    side.tenancy.close()
    assert side.tenancy.offers("p", "v1") == ()
    side.report()
    side.follow(heard=2, b={"a": 2, "b": 2})
    assert (side.gateway.borrowed, side.gateway.lent) == ({}, frozenset())
    side.report()
    assert not side.tenancy.open
