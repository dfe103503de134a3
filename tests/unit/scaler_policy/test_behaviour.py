"""What surrounds the policies: dry runs, spares, idle time and minimums before weights move."""

from __future__ import annotations

from typing import Any

import pytest
from scaler_kit import scale, seen, total

from fleet.model import Decision, Observation
from scaler.decide import Override, decide_pool
from scaler.floors import idle_of
from scaler.policies import POLICIES
from scaler.state import PoolState, VersionState
from scaler.windows import Wish

NOW = 1000.0


def known(desired: int, **more: Any) -> PoolState:
    wishes = (Wish(NOW - 100, desired),)
    return PoolState({"v1": VersionState(desired=desired, wishes=wishes, **more)})


def decide(
    observation: Observation,
    state: PoolState,
    override: Override | None = None,
    **settings: Any,
) -> tuple[Decision, VersionState]:
    (decision,), after = decide_pool([observation], scale(**settings), override, state)
    return decision, after.versions["v1"]


# dry runs


def test_a_dry_run_decides_but_keeps_the_size() -> None:
    decision, after = decide(seen(total(30), desired=1, now=NOW), known(1), dry_run=True)
    assert (decision.desired, decision.dry_run) == (3, True)
    assert decision.reason.startswith("up 1 -> 3: ")
    assert after.desired == 1
    assert after.ups == (), "no rate counts what was not done"


def test_a_dry_run_keeps_within_the_bounds() -> None:
    decision, after = decide(seen(desired=0, now=NOW), known(0), dry_run=True, min=2)
    assert (decision.desired, after.desired) == (2, 2)
    _, after = decide(seen(desired=9, now=NOW), known(9), dry_run=True, max=4)
    assert after.desired == 4


def test_a_size_held_by_hand_is_no_dry_run() -> None:
    decision, after = decide(
        seen(total(30), desired=1, now=NOW), known(1), Override(5), dry_run=True
    )
    assert (decision.desired, decision.dry_run, after.desired) == (5, False, 5)


@pytest.mark.parametrize("policy", ["apa", "hpa", "keda", "kpa", "nomad", "ray", "slo", "step"])
def test_no_cooldown_begins_with_a_change_that_was_not_made(policy: str) -> None:
    """nomad-autoscaler#144: whoever ends a dry run is not held up by it."""
    state, grown = PoolState(), 0
    cooldowns: dict[str, Any] = {
        "nomad": {"cooldown": "10m", "evaluation_interval": "1s"},
        "step": {"cooldown": "10m", "rules": [{"above": 1, "change": 1}]},
    }
    settings = {"policy": policy, **({policy: cooldowns[policy]} if policy in cooldowns else {})}
    for second in range(0, 150, 15):
        now = NOW + second
        load = seen(
            total(100),
            desired=2,
            now=now,
            in_flight=8,
            queued=92,
            arrived=20 * second,
            served=8 * second,
            busy=40.0 * second,
        )
        decision, after = decide(load, state, dry_run=second < 135, **settings)
        state = PoolState({"v1": after})
        if second < 135:
            assert after.desired == 2
            grown += decision.desired > 2
    assert grown > 0
    assert decision.desired > 2, decision.reason
    assert after.desired == decision.desired


# spares


def test_spares_stand_by_beyond_the_need() -> None:
    decision, after = decide(seen(total(30), desired=3, now=NOW), known(3), standby=2)
    assert decision.desired == 5
    assert decision.reason == "up 3 -> 5: wanted 3, set by standby (2 beyond the need)"
    assert after.spare == 2


def test_spares_are_not_taken_for_need() -> None:
    """A policy without a value holds the present size; with spares in it that would grow."""
    state = known(3)
    for second in range(5):
        observation = seen(
            total(None), desired=state.versions["v1"].desired, ready=5, now=NOW + second
        )
        decision, after = decide(observation, state, standby=2)
        state = PoolState({"v1": after})
    assert decision.desired == 5


def test_spares_keep_within_max_and_stay_when_nothing_is_wanted() -> None:
    assert decide(seen(total(30), desired=3, now=NOW), known(3), standby=9, max=4)[0].desired == 4
    assert decide(seen(total(0), desired=1, now=NOW), known(1), standby=1, min=0)[0].desired == 1


# to zero


def quiet(**more: Any) -> Observation:
    return seen(total(0), desired=2, now=NOW, **more)


IDLE = {
    "work lately": (quiet(), 30.0, 1),
    "no work for long enough": (quiet(), 60.0, 0),
    "a request came and went between two ticks": (quiet(arrived=1), 60.0, 1),
    "one is in flight": (quiet(in_flight=1), 60.0, 1),
    "one is queued": (quiet(queued=1), 60.0, 1),
    "seen for the first time": (quiet(), None, 1),
}


@pytest.mark.parametrize(("observation", "ago", "size"), IDLE.values(), ids=IDLE)
def test_the_last_replica_goes_after_the_idle_time(
    observation: Observation, ago: float | None, size: int
) -> None:
    state = known(2, busy_at=None if ago is None else NOW - ago)
    decision, _ = decide(observation, state, min=0, idle="60s", down={"replicas": 9})
    assert decision.desired == size


IDLE_TIMES: dict[str, tuple[dict[str, Any], float]] = {
    "a minute by default": ({}, 60.0),
    "as long as the stabilization asked for": ({"stabilization": "10s"}, 10.0),
    "its own time counts first": ({"stabilization": "10s", "idle": "30s"}, 30.0),
    "a policy with a rule of its own needs none": ({"policy": "kpa"}, 0.0),
    "unless it is asked for": ({"policy": "kpa", "idle": "5s"}, 5.0),
}


@pytest.mark.parametrize(("settings", "seconds"), IDLE_TIMES.values(), ids=IDLE_TIMES)
def test_the_idle_time(settings: dict[str, Any], seconds: float) -> None:
    chosen = scale(**settings)
    assert idle_of(chosen, POLICIES[chosen.policy].idle) == seconds


def test_the_sentence_tells_how_long_it_will_stay() -> None:
    decision, _ = decide(quiet(), known(2, busy_at=NOW - 18), min=0, down={"replicas": 9})
    assert decision.reason.endswith("limited by idle (idle for another 42s)")


def test_an_empty_pool_is_not_kept_by_the_idle_time() -> None:
    observation = seen(total(0), desired=0, now=NOW)
    decision, _ = decide(observation, known(0, busy_at=NOW - 1), min=0)
    assert decision.desired == 0


# minimums


def test_a_minimum_comes_before_the_weight_and_takes_nothing_from_others() -> None:
    observations = [
        seen(total(60), version="v1", weight=100, desired=6, now=NOW),
        seen(total(0), version="v2", weight=0, desired=0, now=NOW),
    ]
    decisions, _ = decide_pool(observations, scale(max=10), None, PoolState(), minimums={"v2": 3})
    assert [d.desired for d in decisions] == [6, 3]
    assert decisions[1].limits == ("weight (it needs 3 before its weight moves)",)


def test_a_state_with_times_moves_with_the_clock() -> None:
    _, after = decide(quiet(in_flight=1), known(2))
    assert after.busy_at == NOW
