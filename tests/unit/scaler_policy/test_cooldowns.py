"""Cooldowns of `step` and `nomad` count from changes that were made, not from those wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scaler_kit import scale, seen, total

from fleet.model import Observation
from scaler.decide import decide_pool
from scaler.policies.cooldown import Sizing
from scaler.state import PoolState


def sizes(
    seconds: int, load: Callable[[int, int], Observation], begin: int, **settings: Any
) -> list[int]:
    """The size after each second; `load` gives the observation of a second at a size."""
    state, found = PoolState(), [begin]
    for second in range(seconds):
        (decision,), state = decide_pool([load(second, found[-1])], scale(**settings), None, state)
        found.append(decision.desired)
    return found[1:]


def idle(second: int, desired: int) -> Observation:
    return seen(total(0), desired=desired, now=1000.0 + second)


def test_steps_go_down_one_by_one_while_their_window_holds_each_back() -> None:
    found = sizes(400, idle, 3, policy="step", min=1)
    downs = [second for second in range(1, 400) if found[second] < found[second - 1]]
    assert found[-1] == 1
    assert len(downs) == 2
    assert 60 <= downs[0] <= 62, "the stabilization window"
    assert 89 <= downs[1] - downs[0] <= 91, "the cooldown, then the window"


def test_the_last_step_goes_to_zero() -> None:
    assert sizes(100, idle, 1, policy="step", min=0)[-1] == 0


def test_no_step_follows_another_within_the_cooldown() -> None:
    def busy(second: int, desired: int) -> Observation:
        return seen(desired=desired, now=1000.0 + second, in_flight=4 * desired, queued=desired)

    settings = {"step": {"cooldown": "20s", "rules": [{"above": 1, "change": 1}]}}
    found = sizes(50, busy, 1, policy="step", **settings)
    assert [found.index(size) for size in (2, 3, 4)] == [0, 20, 40]


def test_wanting_fewer_than_min_holds_up_no_growth_of_nomad() -> None:
    def quiet_then_busy(second: int, desired: int) -> Observation:
        return seen(total(0 if second < 60 else 50), desired=desired, now=1000.0 + second)

    settings = {"nomad": {"cooldown": "5m", "evaluation_interval": "10s"}}
    assert sizes(75, quiet_then_busy, 2, policy="nomad", min=2, **settings)[-1] == 5


def test_nomad_may_wait_less_after_growth() -> None:
    def growing_then_quiet(second: int, desired: int) -> Observation:
        return seen(total(10 * (desired + 1) if desired < 4 else 0), desired=desired, now=second)

    settings = {"cooldown": "10m", "cooldown_on_scale_up": "20s", "evaluation_interval": "1s"}
    found = sizes(90, growing_then_quiet, 2, policy="nomad", nomad=settings, min=1)
    assert [found.index(size) for size in (3, 4, 1)] == [0, 20, 40]
    assert found[-1] == 1, "the cooldown after shrinking is the longer one"


def test_a_change_counts_from_the_look_that_it_followed() -> None:
    sizing = Sizing()
    for now, desired in ((10.0, 1), (11.0, 1), (12.0, 2), (13.0, 2)):
        sizing = sizing.followed(seen(desired=desired, now=now))
    assert (sizing.size, sizing.changed, sizing.grew) == (2, 11.0, True)
    assert sizing.moved(100.0).changed == 111.0
