"""What survives a restart: the same ages, on another clock."""

from __future__ import annotations

import math

import msgspec
import pytest
from scaler_kit import scale, seen, total

from fleet.model import Observation
from scaler.decide import decide_pool
from scaler.forecast import Forecast
from scaler.policies import POLICIES
from scaler.policies.kpa import KpaMemory, KpaPast
from scaler.policies.kpa_stage import Stage
from scaler.policies.metrics import Load
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
                memory=KpaMemory(
                    decided=94.0,
                    stage=Stage("active", 91.0),
                    loads=(Load(92.0, 5.0),),
                    past=KpaPast(panic_since=93.0),
                ),
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
    assert version.memory == KpaMemory(
        decided=94.0 + shift,
        loads=(Load(92.0 + shift, 5.0),),
        stage=Stage("active", 91.0 + shift),
        past=KpaPast(panic_since=93.0 + shift),
    )
    assert version.desired == 4


def test_a_state_from_long_ago_is_left_out() -> None:
    data = save(STATE, wall=5000.0, monotonic=100.0)
    assert load(data, wall=5301.0, monotonic=401.0) == {}


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"wall": "x"}', b"[]"])
def test_what_is_not_a_state_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        load(data, wall=0.0, monotonic=0.0)


@pytest.mark.parametrize("policy", POLICIES)
def test_each_policy_goes_on_after_a_restart_as_if_there_had_been_none(policy: str) -> None:
    settings = scale(policy=policy, min=1, predict={"season": "1m", "step": "5s"})

    def observed(second: float, shift: float, before: PoolState) -> Observation:
        load = int(6 + 5 * math.sin(second / 7))
        present = before.versions["v1"].desired if before.versions else 2
        return seen(
            total(load, 2.8),
            desired=present,
            now=second + shift,
            at=second,
            in_flight=load,
            arrived=int(12 * second),
            served=int(12 * second),
            busy=6.0 * second,
        )

    state = PoolState()
    for second in range(200):
        _, state = decide_pool([observed(second, 0.0, state)], settings, None, state)
    stored = save({"p": state}, wall=5000.0, monotonic=199.0)
    again = load(stored, wall=5000.0, monotonic=1199.0)["p"]
    for second in range(200, 500):
        straight, state = decide_pool([observed(second, 0.0, state)], settings, None, state)
        resumed, again = decide_pool([observed(second, 1000.0, again)], settings, None, again)
        assert [d.desired for d in straight] == [d.desired for d in resumed]


def test_forecasts_outlive_a_break_that_the_rest_does_not() -> None:
    forecast = Forecast(width=300.0, step=7, total=3.0, looks=1, history=(1.0, None, 2.5))
    data = save({"p": PoolState(STATE["support"].versions, {"v1": forecast})}, wall=0, monotonic=0)
    assert load(data, wall=1e6, monotonic=0)["p"] == PoolState({}, {"v1": forecast})
