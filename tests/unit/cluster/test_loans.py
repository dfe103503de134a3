"""Slots that members lend each other: how many, and never one too many."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest

from scaler.cluster.loans import Lending, _targets, replica_key
from scaler.cluster.messages import Loan, Offer, Plan, Report, VersionReport
from scaler.members import Counts
from tests.unit.scaler_policy.scaler_kit import totals


class Gateway:
    """A member: its replicas, the limits it follows, and what is in flight."""

    def __init__(self, name: str, replicas: int, slots: int = 4) -> None:
        self.name = name
        self.ready = {f"p-v1-{i}": slots for i in range(replicas)}
        self.limits: dict[str, int] = {}
        self.in_flight: dict[str, int] = {}
        self.followed = (0, 0)
        self.demand = 0.0

    @property
    def own(self) -> dict[str, int]:
        return {replica_key(name, self.name): slots for name, slots in self.ready.items()}

    def may_use(self) -> dict[str, int]:
        return {**self.own, **self.limits}

    def report(self) -> Report:
        offers = tuple(Offer(n, "10.0.0.1", 8000, s) for n, s in sorted(self.ready.items()))
        version = VersionReport(totals(), Counts(ready=len(offers)), offers=offers)
        limits = {k: 0 for k, n in self.in_flight.items() if n and k not in self.own} | self.limits
        held = {k: max(n, self.in_flight.get(k, 0)) for k, n in limits.items()}
        return Report(
            start="1",
            beat=1,
            pools={"p": {"v1": version}},
            followed=self.followed,
            lends=True,
            held=held,
        )

    def follow(self, stamp: tuple[int, int], loans: Mapping[str, Loan]) -> None:
        self.followed = stamp
        self.limits = {
            k: loan.shares[self.name] for k, loan in loans.items() if self.name in loan.shares
        }


class Leader:
    def __init__(self, *members: Gateway) -> None:
        self.members = members
        self.lending = Lending(None)
        self.number = 0
        self.loans: dict[str, Loan] = {}

    def reports(self) -> dict[str, Report]:
        return {m.name: m.report() for m in self.members}

    def plan(self, reports: Mapping[str, Report] | None = None) -> dict[str, Loan]:
        self.number += 1
        self.loans = self.lending.deal(
            self.reports() if reports is None else reports,
            lambda _pool, _version: {m.name: m.demand for m in self.members},
            (1, self.number),
        )
        return self.loans

    def beat(self, times: int = 1) -> None:
        for _ in range(times):
            self.plan()
            for member in self.members:
                member.follow((1, self.number), self.loans)


def usable(member: Gateway) -> int:
    return sum(member.may_use().values())


def test_members_that_have_enough_lend_nothing() -> None:
    a, b = Gateway("a", 2), Gateway("b", 1)
    a.demand, b.demand = 7, 3
    leader = Leader(a, b)
    leader.beat(3)
    assert leader.loans == {}


def test_who_has_no_replica_gets_a_slot_before_its_first_request_and_more_with_its_demand() -> None:
    a, b = Gateway("a", 1), Gateway("b", 0)
    leader = Leader(a, b)
    leader.beat(3)
    assert (usable(a), usable(b)) == (3, 1)
    b.demand = 2
    leader.beat(3)
    assert (usable(a), usable(b)) == (1, 3)
    a.demand, b.demand = 3, 0
    leader.beat(3)
    assert (usable(a), usable(b)) == (3, 1)


def test_too_few_slots_are_dealt_by_need() -> None:
    a, b = Gateway("a", 2), Gateway("b", 0)
    a.demand, b.demand = 20, 5
    leader = Leader(a, b)
    leader.beat(3)
    assert (usable(a), usable(b)) == (6, 2)
    assert _targets({"a": 1, "b": 0}, {"a": 1, "b": 9}) == {"a": 0, "b": 1}


def test_no_more_is_lent_of_a_replica_than_it_has_when_it_has_fewer_than_before() -> None:
    a, b = Gateway("a", 1), Gateway("b", 0)
    b.demand = 2
    leader = Leader(a, b)
    leader.beat(3)
    a.ready["p-v1-1"] = 4
    leader.beat(2)
    a.ready = dict.fromkeys(a.ready, 2)
    leader.beat(4)
    first, second = (leader.loans[replica_key(name, "a")].shares for name in sorted(a.ready))
    assert (first, second) == ({"a": 0, "b": 2}, {"a": 1, "b": 1})


def test_a_slot_is_given_only_when_its_owner_no_longer_uses_it() -> None:
    a, b = Gateway("a", 1), Gateway("b", 0)
    b.demand = 2
    leader = Leader(a, b)
    key = replica_key("p-v1-0", "a")
    a.in_flight[key] = 4
    leader.beat(5)
    assert leader.loans[key].shares == {"a": 1, "b": 0}
    a.in_flight[key] = 2
    leader.beat(2)
    assert leader.loans[key].shares == {"a": 1, "b": 2}
    a.in_flight[key] = 0
    leader.beat(2)
    assert leader.loans[key].shares == {"a": 1, "b": 3}


def test_a_replica_that_is_ready_no_longer_stays_a_loan_until_nobody_uses_it() -> None:
    a, b = Gateway("a", 1), Gateway("b", 0)
    b.demand = 2
    leader = Leader(a, b)
    leader.beat(3)
    key = replica_key("p-v1-0", "a")
    b.in_flight[key] = 2
    a.ready.clear()
    leader.beat(3)
    assert (leader.loans[key].serving, leader.loans[key].shares["b"]) == (False, 0)
    b.in_flight[key] = 0
    leader.beat(2)
    assert leader.loans == {}


def test_an_owner_that_may_use_all_again_is_believed_to_whatever_it_reported_before() -> None:
    a, b = Gateway("a", 1), Gateway("b", 1, slots=1)
    leader = Leader(a, b)
    b.demand = 2
    leader.beat(3)
    assert usable(b) == 3
    for _ in range(2):
        leader.plan({"b": b.report()})
        b.follow((1, leader.number), leader.loans)
    b.demand = 0
    reports = leader.reports()
    assert leader.plan(reports) == {}
    a.follow((1, leader.number), {})
    b.demand = 2
    assert leader.plan(reports)[replica_key("p-v1-0", "a")].shares["b"] == 0


def test_slots_that_an_owner_got_as_a_loan_ended_are_not_lent_unseen() -> None:
    a, b = Gateway("a", 1), Gateway("b", 1, slots=1)
    leader = Leader(a, b)
    b.demand = 2
    leader.beat(3)
    b.demand = 0
    leader.beat()
    a.ready["p-v1-0"] = 6
    reports = leader.reports()
    assert leader.plan(reports) == {}
    a.follow((1, leader.number), {})
    b.demand = 2
    assert leader.plan(reports)[replica_key("p-v1-0", "a")].shares["b"] == 0


def test_what_is_under_way_at_a_replica_whose_owner_was_away_makes_it_a_loan_again() -> None:
    a, b = Gateway("a", 1), Gateway("b", 0)
    leader = Leader(a, b)
    b.demand = 2
    leader.beat(3)
    key = replica_key("p-v1-0", "a")
    b.in_flight[key] = 2
    leader.plan({"b": b.report()})
    b.follow((1, leader.number), leader.loans)
    a.ready.clear()
    leader.beat(2)
    assert (leader.loans[key].owner, leader.loans[key].serving) == ("a", False)
    a.ready["p-v1-0"] = 4
    leader.beat(2)
    assert leader.loans[key].shares == {"a": 1, "b": 3}
    b.in_flight[key] = 0
    a.ready.clear()
    leader.beat(3)
    assert leader.loans == {}


def test_members_that_do_not_lend_are_left_out() -> None:
    lending = Lending(None)
    offer = Offer("p-v1-0", "10.0.0.1", 8000, 4)
    reports = {
        name: Report(
            start="1",
            beat=1,
            lends=name == "a",
            pools={"p": {"v1": VersionReport(totals(), Counts(), offers=offers)}},
        )
        for name, offers in (("a", (offer,)), ("b", ()))
    }
    assert lending.deal(reports, lambda _pool, _version: {"b": 9.0}, (1, 1)) == {}


@pytest.mark.parametrize("seed", range(30))
def test_no_replica_is_ever_used_beyond_its_slots(seed: int) -> None:
    """Members that read plans late or never, requests that last, and leaders that change."""
    random = Random(seed)
    members = [Gateway(name, random.randrange(3), random.choice([1, 2, 4])) for name in "abc"]
    capacity = {k: n for m in members for k, n in m.own.items()}
    leader, term = Leader(*members), 1
    published: list[tuple[tuple[int, int], dict[str, Loan]]] = []
    reports = {m.name: m.report() for m in members}
    for _ in range(400):
        for member in members:
            if random.random() < 0.05:
                member.demand = random.choice([0, 0, 1, 3, 9])
            for key, limit in member.may_use().items():
                now = member.in_flight.get(key, 0)
                if now < limit and random.random() < 0.6:
                    member.in_flight[key] = now + 1
                elif now and random.random() < 0.3:
                    member.in_flight[key] = now - 1
        if random.random() < 0.02 and published:
            term, last = term + 1, published[-1]
            plan = _plan(*last)
            leader = Leader(*members)
            leader.lending = Lending(plan)
        leader.number += 1
        loans = leader.lending.deal(
            reports,
            lambda _pool, _version: {m.name: m.demand for m in members},
            (term, leader.number),
        )
        published.append(((term, leader.number), loans))
        for member in members:
            if random.random() < 0.6:
                reports[member.name] = member.report()
                member.follow(*published[-1])
        for key, slots in capacity.items():
            used = sum(m.in_flight.get(key, 0) for m in members)
            assert used <= slots


@pytest.mark.parametrize("seed", range(30))
def test_nor_when_members_are_lost_and_come_back_and_replicas_with_them(seed: int) -> None:
    """Nobody who is away uses anything of others, and all that it had there has ended."""
    random = Random(seed)
    members = [Gateway(name, random.randrange(3), random.choice([1, 2, 4])) for name in "abc"]
    leader = Leader(*members)
    out: dict[str, int] = {}
    away: dict[Gateway, int] = {}
    reports = leader.reports()
    for _ in range(400):
        for member in members:
            if random.random() < 0.05:
                member.demand = random.choice([0, 0, 1, 3, 9])
            if random.random() < 0.03 and member.ready:
                name = random.choice(sorted(member.ready))
                out[replica_key(name, member.name)] = member.ready.pop(name)
            for key in [k for k in out if k.endswith(f"@{member.name}") and random.random() < 0.1]:
                member.ready[key.partition("@")[0]] = out.pop(key)
            if random.random() < 0.01 and member not in away:
                away[member] = random.randrange(2, 12)
                for mine in (member.limits, member.in_flight):
                    for key in [k for k in mine if not k.endswith(f"@{member.name}")]:
                        del mine[key]
            for key, limit in member.may_use().items():
                now = member.in_flight.get(key, 0)
                if key not in out and now < limit and random.random() < 0.6:
                    member.in_flight[key] = now + 1
            for key, now in member.in_flight.items():
                if now and random.random() < 0.2:
                    member.in_flight[key] = now - 1
        heard = [m.name for m in members if m not in away]
        leader.plan({name: reports[name] for name in heard})
        for member in members:
            if member in away:
                away[member] -= 1
                if not away[member]:
                    del away[member]
                    reports[member.name] = member.report()
            elif random.random() < 0.6:
                reports[member.name] = member.report()
                if member.name in heard:
                    member.follow((1, leader.number), leader.loans)
        for key, slots in {k: n for m in members for k, n in m.own.items()}.items() | out.items():
            assert sum(m.in_flight.get(key, 0) for m in members) <= slots


def _plan(stamp: tuple[int, int], loans: dict[str, Loan]) -> Plan:
    token, number = stamp
    return Plan(token=token, number=number, members=(), shares={}, room={}, loans=loans)
