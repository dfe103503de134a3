"""Fitting versions into their pool's bounds: tables and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.allocate import Share, allocate


def share(version: str, weight: int, wanted: int, claim: int | None = None) -> Share:
    return Share(
        version=version, weight=weight, wanted=wanted, claim=wanted if claim is None else claim
    )


CASES: dict[str, tuple[list[tuple[int, int]], int, int, list[int]]] = {
    # (weight, wanted) of each version, min, max, sizes
    "within the bounds everyone gets what is wanted": ([(95, 6), (5, 2)], 1, 10, [6, 2]),
    "a single version is raised to min": ([(100, 0)], 2, 10, [2]),
    "a single version is cut to max": ([(100, 30)], 2, 10, [10]),
    "a version with weight has one though it wants none": ([(95, 3), (5, 0)], 1, 10, [3, 1]),
    "a version without weight goes by its demand alone": ([(100, 3), (0, 0)], 1, 10, [3, 0]),
    "a version without weight keeps what it still needs": ([(100, 3), (0, 2)], 1, 10, [3, 2]),
    "an idle pool with min 0 goes to zero as a whole": ([(95, 0), (5, 0)], 0, 10, [0, 0]),
    "a pool awake has one of each with weight": ([(95, 2), (5, 0), (0, 0)], 0, 10, [2, 1, 0]),
    "what min lacks goes by weight": ([(95, 0), (5, 0)], 10, 20, [9, 1]),
    "what min lacks goes to equal weights alike": ([(1, 0), (1, 0)], 4, 20, [2, 2]),
    "what min lacks goes to who lies furthest below": ([(1, 3), (1, 1)], 6, 20, [3, 3]),
    "without any weight min is shared alike": ([(0, 0), (0, 0)], 2, 4, [1, 1]),
    "above max all are trimmed in proportion": ([(50, 12), (50, 6)], 1, 9, [6, 3]),
    "trimming leaves one to a canary": ([(95, 100), (5, 1)], 1, 5, [4, 1]),
    "with max below the versions the heaviest are served": (
        [(5, 1), (60, 1), (35, 1)],
        1,
        2,
        [0, 1, 1],
    ),
    "equal versions too many for max go by order": ([(1, 1), (1, 1)], 1, 1, [1, 0]),
    "a max of 0 stops all": ([(95, 9), (5, 1)], 0, 0, [0, 0]),
}


@pytest.mark.parametrize(("versions", "low", "high", "sizes"), CASES.values(), ids=CASES.keys())
def test_allocation(versions: list[tuple[int, int]], low: int, high: int, sizes: list[int]) -> None:
    shares = [share(f"v{i}", weight, wanted) for i, (weight, wanted) in enumerate(versions)]
    assert list(allocate(shares, low=low, high=high).values()) == sizes


def test_too_little_for_all_is_shared_by_claim_and_not_by_the_wish_of_the_moment() -> None:
    shares = [share("v1", 50, 2, claim=5), share("v2", 50, 5, claim=5)]
    assert allocate(shares, low=1, high=4) == {"v1": 2, "v2": 2}


def test_no_version_gets_more_than_it_wants_when_there_is_too_little() -> None:
    shares = [share("v1", 50, 1, claim=50), share("v2", 50, 5, claim=5)]
    assert allocate(shares, low=1, high=4) == {"v1": 1, "v2": 3}


def test_a_pool_without_versions_is_empty() -> None:
    assert allocate([], low=1, high=4) == {}


pools = st.lists(
    st.tuples(st.integers(0, 100), st.integers(0, 30), st.integers(0, 30)),
    min_size=1,
    max_size=6,
)


def made(versions: list[tuple[int, int, int]]) -> list[Share]:
    return [share(f"v{i}", weight, n, claim) for i, (weight, n, claim) in enumerate(versions)]


@given(versions=pools, bounds=st.tuples(st.integers(0, 40), st.integers(0, 40)))
def test_the_sum_is_within_the_bounds_and_the_same_again(
    versions: list[tuple[int, int, int]], bounds: tuple[int, int]
) -> None:
    low, high = sorted(bounds)
    sizes = allocate(made(versions), low=low, high=high)
    assert low <= sum(sizes.values()) <= high
    assert allocate(made(versions), low=low, high=high) == sizes
    assert min(sizes.values()) >= 0


@given(versions=pools, bounds=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_every_weighted_version_has_one_where_max_allows(
    versions: list[tuple[int, int, int]], bounds: tuple[int, int]
) -> None:
    low, high = sorted(bounds)
    sizes = allocate(made(versions), low=low, high=high)
    weighted = [s.version for s in made(versions) if s.weight]
    if len(weighted) <= high:
        assert all(sizes[version] for version in weighted)
    else:
        assert set(sizes.values()) == {0, 1}


@given(
    versions=pools,
    bounds=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    chosen=st.integers(0, 5),
    more=st.integers(1, 20),
)
def test_who_wants_more_never_gets_less(
    versions: list[tuple[int, int, int]], bounds: tuple[int, int], chosen: int, more: int
) -> None:
    low, high = sorted(bounds)
    at = chosen % len(versions)
    weight, wanted, claim = versions[at]
    before = allocate(made(versions), low=low, high=high)
    versions[at] = (weight, wanted + more, max(claim, wanted + more))
    after = allocate(made(versions), low=low, high=high)
    assert after[f"v{at}"] >= before[f"v{at}"]
