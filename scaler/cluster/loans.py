"""Slots of replicas that members of a cluster lend each other, in whole numbers. Pure.

A member needs a slot for each request in flight or queued, and one more for the next. Where its own
replicas have fewer, others lend what they do not need; is there not enough for all, the slots of
all are dealt by need (Webster's method, as in `scaler.cluster.shares`). Nothing is lent to who has
enough, so members of equal load leave each other alone.

`concurrency` stays exact, because a slot that changes hands is taken before it is given:

1. A plan says how many slots of a replica each member may use. Fewer hold at once, more only as far
   as what all of them may still be using, together, leaves room.
2. What a member may still be using is the larger of what it reports (its limit, or what is in
   flight if that is more) and what plans allowed that its report does not show yet (`followed`).
3. A new leader cannot know what plans before the last one still say to whom. Until all members
   follow a plan of its own it gives nobody more.
4. A member that is gone uses none: it stops before anybody can take it for gone (`member`).

Worked: a has a replica of 4 slots and needs 1, b needs 3 and has none. Plan 1: a 1, b 0. a reports
plan 1 followed and 2 in flight: 2 are free, plan 2 gives b 2. a reports 1: plan 3 gives b 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import structs

from scaler.cluster.messages import Loan, Offer, Plan, Report, Stamp

Key = tuple[str, str]
"""Pool and version."""

SPARE: Final = 1
"""Slots a member needs beyond its demand."""


class Lending:
    """One term's loans."""

    def __init__(self, before: Plan | None) -> None:
        """`before` is the plan of the term before: its loans hold until they are taken back."""
        self._loans: dict[str, Loan] = dict(before.loans) if before is not None else {}
        self._allowed: dict[tuple[str, str], list[tuple[Stamp, int | None]]] = {}
        """By member and replica, what plans said that its reports do not show yet; None: all."""
        if before is not None:
            self._note(before.stamp, before.loans)

    def deal(
        self,
        reports: Mapping[str, Report],
        demands: Callable[[str, str], Mapping[str, float]],
        stamp: Stamp,
    ) -> dict[str, Loan]:
        """What each member may use of which replica, where somebody else may too; the others are
        their owner's alone. `reports` are of all members that are there, `demands(pool, version)`
        is theirs by name, `stamp` is that of the plan.
        """
        self._acknowledge(reports)
        settled = all(r.followed[0] == stamp[0] for r in reports.values() if r.lends)
        offers, wanted = self._wanted(reports, demands)
        held = {key for report in reports.values() for key in report.held}
        loans = {}
        for key in sorted(offers.keys() | self._loans.keys() | held):
            present = offers.get(key)
            loan = present or self._loans.get(key) or _forgotten(key)
            if loan.owner not in reports:
                continue
            shares = self._allow(key, loan, wanted.get(key, {}), reports, settled=settled)
            if len(shares) > 1:
                loans[key] = structs.replace(loan, serving=present is not None, shares=shares)
        self._note(stamp, loans)
        for key in (self._loans.keys() | held) - loans.keys():
            if (owner := owner_of(key)) in reports:
                self._allowed.setdefault((owner, key), []).append((stamp, None))
        self._loans = loans
        return loans

    def _wanted(
        self,
        reports: Mapping[str, Report],
        demands: Callable[[str, str], Mapping[str, float]],
    ) -> tuple[dict[str, Loan], dict[str, dict[str, int]]]:
        """Replicas offered, of the versions in which anything is or was lent, and what of them
        should be: slots by replica and borrower.
        """
        held = {key for report in reports.values() for key in report.held}
        lent = {(loan.pool, loan.version) for loan in self._loans.values()}
        offers: dict[str, Loan] = {}
        wanted: dict[str, dict[str, int]] = {}
        for (pool, version), of in _by_version(reports).items():
            demand = demands(pool, version)
            needs = {
                name: math.ceil(demand.get(name, 0.0)) + SPARE
                for name, report in reports.items()
                if report.lends and version in report.pools.get(pool, ())
            }
            own = dict.fromkeys(needs, 0)
            for owner, offer in of:
                own[owner] = own.get(owner, 0) + offer.slots
            enough = all(own[name] >= need for name, need in needs.items())
            if enough and not held and (pool, version) not in lent:
                continue
            made = {replica_key(o.name, owner): _loan(pool, version, owner, o) for owner, o in of}
            before = {k: self._loans[k].shares if k in self._loans else {} for k in made}
            offers.update(made)
            wanted.update(_lent(made, own, needs, before))
        return offers, wanted

    def _allow(
        self,
        key: str,
        loan: Loan,
        lent: Mapping[str, int],
        reports: Mapping[str, Report],
        *,
        settled: bool,
    ) -> dict[str, int]:
        """By member, of those that use the replica, shall use it, or may still be using it."""
        owner, last = loan.owner, self._loans.get(key)
        known = () if settled or last is None else last.shares
        want = {owner: loan.slots - sum(lent.values()), **lent}
        using = {
            name: self._using(name, key, report, loan.slots if name == owner else 0)
            for name, report in reports.items()
        }
        shares = {
            name: min(want.get(name, 0), using[name])
            for name in using
            if name == owner or using[name] or want.get(name) or name in known
        }
        free = loan.slots - sum(using.values()) if settled else 0
        for name in sorted(shares, key=lambda name: shares[name] - want.get(name, 0)):
            more = max(0, min(free, want.get(name, 0) - shares[name]))
            shares[name] += more
            free -= more
        return shares

    def _using(self, member: str, key: str, report: Report, default: int) -> int:
        open_ = self._allowed.get((member, key), ())
        allowed = [default if slots is None else slots for _, slots in open_]
        return max([report.held.get(key, default), *allowed])

    def _acknowledge(self, reports: Mapping[str, Report]) -> None:
        open_ = {}
        for (member, key), allowed in self._allowed.items():
            report = reports.get(member)
            if report is not None:
                left = [one for one in allowed if one[0] > report.followed]
                if left:
                    open_[member, key] = left
        self._allowed = open_

    def _note(self, stamp: Stamp, loans: Mapping[str, Loan]) -> None:
        for key, loan in loans.items():
            for member, slots in loan.shares.items():
                self._allowed.setdefault((member, key), []).append((stamp, slots))


def replica_key(replica: str, owner: str) -> str:
    """A replica's name in the whole cluster, where several hosts may have given the same one."""
    return f"{replica}@{owner}"


def owner_of(key: str) -> str:
    """Whose replica it is."""
    return key.rpartition("@")[2]


def _by_version(reports: Mapping[str, Report]) -> dict[Key, list[tuple[str, Offer]]]:
    """What others may use, with its owner."""
    found: dict[Key, list[tuple[str, Offer]]] = {}
    for owner, report in reports.items():
        for pool, versions in report.pools.items():
            for version, of in versions.items():
                if of.offers:
                    found.setdefault((pool, version), []).extend((owner, o) for o in of.offers)
    return found


def _loan(pool: str, version: str, owner: str, offer: Offer) -> Loan:
    return Loan(
        pool=pool,
        version=version,
        owner=owner,
        host=offer.host,
        port=offer.port,
        slots=offer.slots,
        serving=True,
        shares={},
    )


def _forgotten(key: str) -> Loan:
    """A replica that is not offered and of which the last plan had no loan, as when its owner was
    away: who uses it still goes on with what is under way.
    """
    return Loan(
        pool="",
        version="",
        owner=owner_of(key),
        host="",
        port=0,
        slots=0,
        serving=False,
        shares={},
    )


def _lent(
    offers: Mapping[str, Loan],
    own: Mapping[str, int],
    needs: Mapping[str, int],
    before: Mapping[str, Mapping[str, int]],
) -> dict[str, dict[str, int]]:
    """Slots lent, by replica and borrower; what is lent stays where it is as far as may be. `own`
    are all slots of a member's replicas.
    """
    targets = _targets(own, needs)
    spare = {name: max(0, own[name] - targets[name]) for name in own}
    lack = {name: max(0, targets[name] - own[name]) for name in own}
    lent: dict[str, dict[str, int]] = {key: {} for key in offers}
    if not any(lack.values()):
        return lent
    for key, loan in offers.items():
        for name, slots in before[key].items():
            if name == loan.owner or name not in lack:
                continue
            room = loan.slots - sum(lent[key].values())
            kept = min(slots, lack[name], spare[loan.owner], room)
            if kept:
                lent[key][name] = kept
                lack[name] -= kept
                spare[loan.owner] -= kept
    while (to := max(lack, key=lack.__getitem__, default="")) and lack[to]:
        left = {
            key: loan.slots - sum(lent[key].values())
            for key, loan in offers.items()
            if spare[loan.owner]
        }
        best = max(left, key=lambda key: (spare[offers[key].owner], left[key]), default="")
        if not best:
            break
        lent[best][to] = lent[best].get(to, 0) + 1
        lack[to] -= 1
        spare[offers[best].owner] -= 1
    return lent


def _targets(own: Mapping[str, int], needs: Mapping[str, int]) -> dict[str, int]:
    """Slots each member should have: what it needs, or if that is too much for all, by need."""
    total = sum(own.values())
    if sum(needs.values()) <= total:
        return dict(needs)
    targets = dict.fromkeys(needs, 0)
    for _ in range(total):
        best = max(needs, key=lambda name: needs[name] / (2 * targets[name] + 1))
        targets[best] += 1
    return targets
