"""What several pools may have of one budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scaler_kit import scale, seen, total

from scaler.allocate import Share, afford, eased
from scaler.budgets import Account, Claim, Ledger, Purse, Taken, entitlements
from scaler.decide import Override, decide_pool
from scaler.state import PoolState, VersionState


def claim(
    pool: str, wanted: float, floor: float = 1, priority: int = 0, step: float = 1.0
) -> Claim:
    return Claim(pool=pool, priority=priority, floor=floor, step=step, wanted=wanted)


SHARES: dict[str, tuple[list[Claim], float, dict[str, float]]] = {
    "enough for all": ([claim("a", 3), claim("b", 4)], 10, {"a": 3, "b": 4}),
    "the same priority shares evenly": ([claim("a", 9), claim("b", 9)], 10, {"a": 5, "b": 5}),
    "who wants little gets it, the others share the rest": (
        [claim("a", 1), claim("b", 5), claim("c", 9)],
        10,
        {"a": 1, "b": 5, "c": 4},
    ),
    "an odd replica goes to the first of the least served": (
        [claim("a", 9), claim("b", 9)],
        5,
        {"a": 3, "b": 2},
    ),
    "the higher priority goes first, but for the minimum of others": (
        [claim("a", 9), claim("b", 9, priority=1)],
        10,
        {"a": 1, "b": 9},
    ),
    "what the higher priority leaves goes to the lower": (
        [claim("a", 7, priority=1), claim("b", 5), claim("c", 1)],
        10,
        {"a": 7, "b": 2, "c": 1},
    ),
    "costs differ: no part of a replica is given, and what is left serves others": (
        [claim("a", 8, floor=4, step=4), claim("b", 9)],
        10,
        {"a": 4, "b": 6},
    ),
    "too little for the minimum: the higher priority has its own": (
        [claim("a", 3, floor=3), claim("b", 3, floor=3, priority=1)],
        4,
        {"a": 1, "b": 3},
    ),
}


@pytest.mark.parametrize(("claims", "limit", "shares"), SHARES.values(), ids=SHARES)
def test_entitlements(claims: list[Claim], limit: float, shares: dict[str, float]) -> None:
    assert entitlements(claims, limit) == shares


CLAIMS = st.lists(
    st.builds(
        Claim,
        pool=st.uuids().map(str),
        priority=st.integers(-1, 1),
        floor=st.integers(0, 3).map(float),
        step=st.sampled_from([1.0, 2.0, 0.3]),
        wanted=st.integers(0, 20).map(float),
    ),
    max_size=6,
    unique_by=lambda one: one.pool,
)


@given(CLAIMS, st.integers(0, 40).map(float))
def test_never_more_than_the_budget_nor_than_wanted(claims: list[Claim], limit: float) -> None:
    got = entitlements(claims, limit)
    assert sum(got.values()) <= limit + 1e-6
    for one in claims:
        assert got[one.pool] <= max(one.floor, one.wanted) + 1e-6


def purse(ledger: Ledger, pool: str, priority: int = 0, each: float = 1.0) -> Purse:
    account = Account(budget="gpu", total=10, priority=priority, costs={"v1": each})
    made = Purse(ledger, account, pool, 1)
    made.open(0.0)
    return made


def test_a_pool_grows_only_into_what_others_have_left() -> None:
    ledger = Ledger(10)
    low, high = purse(ledger, "low"), purse(ledger, "high", priority=1)
    assert low.allowance(10, held=0) == 9, "the minimum of the other is kept for it"
    assert high.allowance(9, held=0) == 1, "nine are held"
    assert low.allowance(10, held=9) == 1, "it has to give back"
    assert high.allowance(9, held=1) == 1, "not yet gone"
    assert low.allowance(10, held=1) == 1
    assert high.allowance(9, held=1) == 9


def test_what_a_pool_takes_counts_at_once() -> None:
    ledger = Ledger(10)
    first, second = purse(ledger, "a"), purse(ledger, "b")
    assert first.allowance(8, held=0) == 8, "the other wants one so far"
    assert second.allowance(8, held=0) == 2, "though it is entitled to five"


def test_a_decision_keeps_to_the_budget_and_says_so() -> None:
    own = purse(Ledger(10), "support")
    state = PoolState({"v1": VersionState(desired=9)})
    (decision,), after = decide_pool(
        [seen(total(200), desired=9)], scale(up={"replicas": 50}), None, state, purse=own
    )
    assert decision.desired == after.versions["v1"].desired == 10
    assert decision.limits == ("budget (gpu leaves 10 of 10)",)
    assert decision.reason.endswith("limited by budget (gpu leaves 10 of 10)")


def test_a_size_held_by_hand_goes_beyond_the_budget() -> None:
    own = purse(Ledger(10), "support")
    (decision,), _ = decide_pool(
        [seen(total(0), desired=9)], scale(), Override(12), PoolState(), purse=own
    )
    assert decision.desired == 12


def test_a_dear_version_is_bought_as_often_as_the_money_lasts() -> None:
    shares = [
        Share(version="v1", weight=90, wanted=8, claim=8),
        Share(version="v2", weight=10, wanted=2, claim=2),
    ]
    sizes = {"v1": 8, "v2": 2}
    assert afford(shares, sizes, {"v1": 1.0, "v2": 4.0}, 16.0) == sizes
    assert afford(shares, sizes, {"v1": 1.0, "v2": 4.0}, 12.0) == {"v1": 8, "v2": 1}
    assert afford(shares, sizes, {"v1": 1.0, "v2": 4.0}, 3.0) == {"v1": 3, "v2": 0}
    assert afford(shares, sizes, {"v1": 1.0, "v2": 4.0}, 0.0) == {"v1": 0, "v2": 0}


EASED = {
    "nothing is in the way": ({"v1": 4, "v2": 2}, {"v1": 1, "v2": 1}, {}, {"v1": 4, "v2": 2}),
    "what drains is there until it is gone": ({"v1": 4}, {"v1": 1}, {"v1": 3}, {"v1": 3}),
    "a version waits for the other to shrink": (
        {"v1": 1, "v2": 5},
        {"v1": 5, "v2": 0},
        {},
        {"v1": 1, "v2": 1},
    ),
    "the smallest grow first": (
        {"v1": 6, "v2": 6},
        {"v1": 3, "v2": 0},
        {},
        {"v1": 3, "v2": 3},
    ),
    "nobody shrinks for what drains": ({"v1": 5}, {"v1": 5}, {"v1": 4}, {"v1": 5}),
}


@pytest.mark.parametrize(("sizes", "standing", "leaving", "after"), EASED.values(), ids=EASED)
def test_growth_waits_for_room(
    sizes: dict[str, int], standing: dict[str, int], leaving: dict[str, int], after: dict[str, int]
) -> None:
    leaving = {version: leaving.get(version, 0) for version in sizes}
    assert eased(sizes, standing, leaving, dict.fromkeys(sizes, 1.0), 6.0) == after


def test_a_pool_grows_again_only_as_its_own_have_left() -> None:
    own = purse(Ledger(10), "support")
    state = PoolState({"v1": VersionState(desired=2)})
    (decision,), _ = decide_pool(
        [seen(total(200), desired=2)],
        scale(up={"replicas": 50}),
        None,
        state,
        purse=own,
        taken={"v1": Taken(standing=2, leaving=5)},
    )
    assert decision.desired == 5
    assert decision.limits[-1] == "budget (gpu leaves 10 of 10 until others are gone)"
