from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import split as module
from router.split import MAX_CYCLE, Split, reduced, smooth_cycle

CYCLES = {
    "the classic example": ([5, 1, 1], [0, 0, 1, 0, 2, 0, 0]),
    "one version": ([7], [0]),
    "equal weights alternate": ([50, 50], [0, 1]),
    "a weight of 0 never comes": ([1, 0, 1], [0, 2]),
    "a common divisor does not matter": ([20, 10], [0, 1, 0]),
}


@pytest.mark.parametrize("case", CYCLES.values(), ids=CYCLES)
def test_the_cycle_is_known_for(case: tuple[list[int], list[int]]) -> None:
    assert smooth_cycle(case[0]) == case[1]


@pytest.mark.parametrize("weights", [[95, 5], [99, 1], [60, 30, 10], [34, 33, 33], [100], [0, 100]])
def test_any_hundred_in_a_row_are_exact_when_weights_add_up_to_100(weights: list[int]) -> None:
    split = Split([f"v{i}" for i in range(len(weights))], weights)
    taken = [split.next() for _ in range(300)]
    for start in range(200):
        counts = Counter(taken[start : start + 100])
        assert [counts[i] for i in range(len(weights))] == weights


@given(st.integers(1, 1000), st.integers(1, 1000), st.integers(1, 300))
def test_of_two_versions_any_window_is_within_one_of_its_share(a: int, b: int, length: int) -> None:
    cycle = smooth_cycle([a, b])
    taken = (cycle * (2 + length // len(cycle)))[: len(cycle) + length]
    counts = [0]
    for index in taken:
        counts.append(counts[-1] + (index == 0))
    for start in range(0, len(cycle), max(1, len(cycle) // 20)):
        assert abs(counts[start + length] - counts[start] - length * a / (a + b)) <= 1


@given(st.lists(st.integers(0, 1_000_000), min_size=1, max_size=5).filter(any))
def test_reduced_weights_keep_the_proportion(weights: list[int]) -> None:
    small = reduced(weights)
    assert [w > 0 for w in small] == [w > 0 for w in weights]
    total, small_total = sum(weights), sum(small)
    assert small_total <= MAX_CYCLE + len(weights)
    for weight, less in zip(weights, small, strict=True):
        assert abs(weight / total - less / small_total) <= (1 + len(weights)) / MAX_CYCLE


def test_without_any_weight_there_is_no_version() -> None:
    split = Split(["a", "b"], [0, 0])
    with pytest.raises(IndexError):
        split.next()
    with pytest.raises(IndexError):
        split.of_session(b"s")


def sessions(weights: dict[str, int], count: int = 4000) -> list[str]:
    split = Split(list(weights), list(weights.values()))
    return [list(weights)[split.of_session(b"session-%d" % n)] for n in range(count)]


@pytest.mark.parametrize(
    ("before", "after", "raised"),
    [
        ({"v1": 95, "v2": 5}, {"v1": 95, "v2": 10}, "v2"),
        ({"v1": 80, "v2": 15, "v3": 5}, {"v1": 80, "v2": 15, "v3": 10}, "v3"),
        ({"v1": 1, "v2": 0}, {"v1": 1, "v2": 1}, "v2"),
    ],
    ids=["two versions", "three versions", "from zero"],
)
def test_raising_a_weight_moves_sessions_to_that_version_only_and_about_its_share(
    before: dict[str, int], after: dict[str, int], raised: str
) -> None:
    old, new = sessions(before), sessions(after)
    moved = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    assert {b for _, b in moved} == {raised}
    for version, weight in after.items():
        share = weight / sum(after.values())
        deviation = (share * (1 - share) / len(new)) ** 0.5
        assert abs(new.count(version) / len(new) - share) < 4 * deviation + 1e-9


def test_a_session_does_not_depend_on_the_order_of_the_versions() -> None:
    forth, back = {"a": 3, "b": 2, "c": 1}, {"c": 1, "b": 2, "a": 3}
    assert sessions(forth, 300) == sessions(back, 300)


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"], ids=["all zeros", "all ones"])
def test_the_extreme_hashes_are_fit_for_a_logarithm(
    monkeypatch: pytest.MonkeyPatch, byte: bytes
) -> None:
    class Extreme:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def digest(self) -> bytes:
            return byte * 8

    monkeypatch.setattr(module, "blake2b", Extreme)
    assert Split(["a", "b"], [1, 2]).of_session(b"s") == 1
