"""Shares of members: what is kept, dealt, taken and moved."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scaler.cluster.shares import Part, alone, split


def parts(**members: tuple[int, float]) -> list[Part]:
    """By name what each holds, and its demand; busy is who has some."""
    return [
        Part(member=name, held=held, demand=demand, busy=demand > 0)
        for name, (held, demand) in members.items()
    ]


@pytest.mark.parametrize(
    ("total", "of", "shares"),
    [
        pytest.param(4, parts(a=(0, 0), b=(0, 0)), {"a": 2, "b": 2}, id="idle members are equal"),
        pytest.param(3, parts(a=(0, 0), b=(0, 0)), {"a": 2, "b": 1}, id="the first gets the odd"),
        pytest.param(4, parts(a=(3, 1), b=(1, 9)), {"a": 3, "b": 1}, id="what is held is kept"),
        pytest.param(5, parts(a=(3, 1), b=(1, 9)), {"a": 3, "b": 2}, id="more where demand is"),
        pytest.param(3, parts(a=(3, 1), b=(1, 9)), {"a": 2, "b": 1}, id="less where it is not"),
        pytest.param(2, parts(a=(2, 0), b=(0, 3)), {"a": 1, "b": 1}, id="a busy one gets one"),
        pytest.param(
            1, parts(a=(1, 0), b=(0, 3)), {"a": 0, "b": 1}, id="from an idle one its last"
        ),
        pytest.param(1, parts(a=(1, 2), b=(0, 3)), {"a": 1, "b": 1}, id="each busy one has one"),
        pytest.param(0, parts(a=(1, 0), b=(2, 0)), {"a": 0, "b": 0}, id="zero is zero"),
        pytest.param(3, parts(a=(3, 0)), {"a": 3}, id="one member has all"),
        pytest.param(3, [], {}, id="nobody is there"),
    ],
)
def test_split(total: int, of: list[Part], shares: Mapping[str, int]) -> None:
    assert split(total, of, high=10, move=False) == shares


def test_busy_members_do_not_outgrow_the_maximum() -> None:
    busy = parts(a=(1, 1), b=(0, 1), c=(0, 1))
    assert split(1, busy, high=2, move=False) == {"a": 1, "b": 1, "c": 0}


def test_one_replica_moves_at_a_time_to_where_it_is_worth_much_more() -> None:
    at = split(4, parts(a=(3, 1), b=(1, 9)), high=4, move=True)
    assert at == {"a": 2, "b": 2}
    at = split(4, parts(a=(2, 1), b=(2, 9)), high=4, move=True)
    assert at == {"a": 1, "b": 3}
    assert split(4, parts(a=(1, 1), b=(3, 9)), high=4, move=True) == {"a": 1, "b": 3}


PARTS = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from([0.0, 0.5, 3.0, 40.0])), min_size=1, max_size=6
).map(lambda drawn: parts(**{f"m{i}": of for i, of in enumerate(drawn)}))


@given(total=st.integers(0, 30), of=PARTS, move=st.booleans())
def test_shares_add_up_and_no_busy_member_goes_without_while_another_has_two(
    total: int, of: list[Part], move: bool
) -> None:
    shares = split(total, of, high=30, move=move)
    busy = [part.member for part in of if part.busy]
    assert sum(shares.values()) == (max(total, len(busy)) if total else 0)
    assert min(shares.values()) >= 0
    if total:
        assert all(shares[member] for member in busy)


@given(total=st.integers(1, 30), of=PARTS)
def test_moves_come_to_rest(total: int, of: list[Part]) -> None:
    seen = []
    for _ in range(100):
        shares = split(total, of, high=30, move=True)
        of = [replace(part, held=shares[part.member]) for part in of]
        seen.append(shares)
    assert seen[-1] == seen[-2]


@pytest.mark.parametrize(
    ("decided", "share", "room", "sizes"),
    [
        pytest.param({"v1": 5}, None, 0, {"v1": 5}, id="one that never heard a plan decides"),
        pytest.param({"v1": 1}, {"v1": 3}, 2, {"v1": 3}, id="never below the share"),
        pytest.param({"v1": 4}, {"v1": 3}, 2, {"v1": 4}, id="as decided while there is room"),
        pytest.param({"v1": 9}, {"v1": 3}, 2, {"v1": 5}, id="no more than the room"),
        pytest.param(
            {"v1": 9, "v2": 3}, {"v1": 3, "v2": 1}, 7, {"v1": 9, "v2": 2}, id="versions share it"
        ),
        pytest.param({"v1": 1, "v2": 1}, {"v1": 1}, 1, {"v1": 1, "v2": 1}, id="a new version"),
    ],
)
def test_alone(
    decided: dict[str, int], share: dict[str, int] | None, room: int, sizes: dict[str, int]
) -> None:
    assert alone(decided, share, room) == sizes
