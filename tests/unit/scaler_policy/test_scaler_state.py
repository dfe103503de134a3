"""What survives a restart: the same ages, on another clock."""

from __future__ import annotations

import msgspec
import pytest

from scaler.policies.slo import Sample, SloMemory
from scaler.state import PoolState, VersionState, load, save
from scaler.windows import Change, Wish

STATE = {
    "support": PoolState(
        {
            "v1": VersionState(
                desired=4,
                wishes=(Wish(90.0, 4), Wish(95.0, 2)),
                ups=(Change(91.0, 3),),
                downs=(Change(99.0, 1),),
                memory=SloMemory(samples=(Sample(92.0, 5, 4, 2.0),)),
            )
        }
    )
}


@pytest.mark.parametrize(
    ("monotonic", "wall", "shift"),
    [
        pytest.param(100.0, 5000.0, 0.0, id="the same moment"),
        pytest.param(110.0, 5010.0, 0.0, id="ten seconds later in the same boot"),
        pytest.param(3.0, 5010.0, -107.0, id="ten seconds later in another boot"),
        pytest.param(105.0, 4000.0, 5.0, id="a wall clock set back counts as no time passed"),
    ],
)
def test_ages_are_kept(monotonic: float, wall: float, shift: float) -> None:
    data = save(STATE, wall=5000.0, monotonic=100.0)
    version = load(data, wall=wall, monotonic=monotonic)["support"].versions["v1"]
    assert version.wishes == (Wish(90.0 + shift, 4), Wish(95.0 + shift, 2))
    assert version.ups == (Change(91.0 + shift, 3),)
    assert version.downs == (Change(99.0 + shift, 1),)
    assert version.memory == SloMemory(samples=(Sample(92.0 + shift, 5, 4, 2.0),))
    assert version.desired == 4


def test_a_state_from_long_ago_is_left_out() -> None:
    data = save(STATE, wall=5000.0, monotonic=100.0)
    assert load(data, wall=5301.0, monotonic=401.0) == {}


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"wall": "x"}', b"[]"])
def test_what_is_not_a_state_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        load(data, wall=0.0, monotonic=0.0)
