"""Budgets that several pools share: who may have how much. The rules are pure.

1. Every pool gets the cost of its `min`, the higher priorities first.
2. What is left goes to the highest priority up to what it wants, then to the next. Pools of the
   same priority share by max-min fairness: the least served first, none more than it wants
   (Bertsekas and Gallager, Data Networks, 1992, section 6.5.2), in whole replicas.
3. A pool grows into its share only as others have left it: what they still hold, replicas that
   drain included, is theirs until it is gone. So the total is never exceeded.

Worked: 10 replicas; A (priority 1) wants 7, B and C (priority 0) want 5 and 1, `min` 1 each. First
1 each; then A to 7; of the 1 left B is as well served as C but C wants no more: 7, 2 and 1.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final

from msgspec import Struct, structs

from fleet.config.schema import Pool, SharedBudget

_ROUNDING: Final = 1e-9


class Taken(Struct, frozen=True, kw_only=True):
    """What there is of one version; replicas that drain take their part until they are gone."""

    standing: int = 0
    leaving: int = 0

    @property
    def whole(self) -> int:
        """All of them."""
        return self.standing + self.leaving


class Claim(Struct, frozen=True, kw_only=True):
    """One pool's part in a budget, in units of its cost."""

    pool: str
    priority: int
    floor: float
    """Of its `min`."""
    step: float
    """Of its cheapest replica."""
    wanted: float = 0.0
    held: float = 0.0
    """Of all replicas it has or has asked for, those that drain included."""


class Account(Struct, frozen=True, kw_only=True):
    """What a pool takes its replicas from."""

    budget: str
    total: float
    priority: int
    costs: Mapping[str, float]
    """Of one replica, by version."""

    def cost(self, sizes: Mapping[str, int]) -> float:
        """Of so many replicas of each version."""
        return sum(size * self.costs[version] for version, size in sizes.items())

    def cost_of(self, taken: Mapping[str, Taken]) -> float:
        """Of what there is of each version."""
        return self.cost({version: of.whole for version, of in taken.items()})


def account_of(
    pool: Pool, versions: Iterable[str], budgets: Mapping[str, SharedBudget]
) -> Account | None:
    """Of a pool with a budget; None: it has none. `versions` are those that are scaled."""
    name = pool.scale.budget
    if name is None:
        return None
    budget = budgets[name]
    by_cost = budget.cost is not None
    return Account(
        budget=name,
        total=budget.cost or float(budget.replicas or 0),
        priority=pool.scale.priority,
        costs={v: pool.versions[v].cost if by_cost else 1.0 for v in versions},
    )


def entitlements(claims: Iterable[Claim], total: float) -> dict[str, float]:
    """What each pool may have of `total`, by name. See the module for the rules."""
    ordered = sorted(claims, key=lambda claim: (-claim.priority, claim.pool))
    got: dict[str, float] = {}
    for claim in ordered:
        got[claim.pool] = min(claim.floor, total)
        total -= got[claim.pool]
    for _, group in groupby(ordered, key=lambda claim: claim.priority):
        total -= _share(list(group), got, total)
    return got


def _share(claims: Sequence[Claim], got: dict[str, float], total: float) -> float:
    """Serve pools of one priority, replica by replica; returns what they took."""
    left = total + _ROUNDING
    hungry = [(got[claim.pool], claim.pool, claim) for claim in claims]
    heapq.heapify(hungry)
    while hungry:
        held, pool, claim = heapq.heappop(hungry)
        if claim.step <= left and held + claim.step <= claim.wanted + _ROUNDING:
            left -= claim.step
            got[pool] = held + claim.step
            heapq.heappush(hungry, (got[pool], pool, claim))
    return total + _ROUNDING - left


class Ledger:
    """The claims of all pools on one budget."""

    def __init__(self, total: float) -> None:
        self._total = total
        self._claims: dict[str, Claim] = {}
        self._held = 0.0
        self._entitled: dict[str, float] | None = None

    def post(self, claim: Claim) -> float:
        """Replace the claim of a pool; returns the cost it may have now."""
        before = self._claims.get(claim.pool)
        self._claims[claim.pool] = claim
        self._held += claim.held - (before.held if before else 0.0)
        if before is None or _terms(before) != _terms(claim):
            self._entitled = None
        if self._entitled is None:
            self._entitled = entitlements(self._claims.values(), self._total)
        others = max(0.0, self._held - claim.held)
        return max(0.0, min(self._entitled[claim.pool], self._total - others))


def _terms(claim: Claim) -> tuple[int, float, float, float]:
    return claim.priority, claim.floor, claim.step, claim.wanted


class Purse:
    """One pool's way to its budget."""

    def __init__(self, ledger: Ledger, account: Account, pool: str, minimum: int) -> None:
        self.account = account
        self._ledger = ledger
        step = min(account.costs.values(), default=1.0)
        self._claim = Claim(pool=pool, priority=account.priority, floor=minimum * step, step=step)

    def open(self, held: float) -> None:
        """Make the pool known before its first tick, so that no other takes what it holds."""
        self._ledger.post(structs.replace(self._claim, wanted=self._claim.floor, held=held))

    def allowance(self, wanted: float, held: float) -> float:
        """The cost the pool may have now, when it wants `wanted` and holds `held`.

        As much as it wants of that is counted as held from now on.
        """
        floor = min(self._claim.floor, wanted)
        claim = structs.replace(self._claim, floor=floor, wanted=wanted, held=held)
        allowed = self._ledger.post(claim)
        if min(wanted, allowed) > held:
            self._ledger.post(structs.replace(claim, held=min(wanted, allowed)))
        return allowed
