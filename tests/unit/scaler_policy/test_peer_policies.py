"""Where the policies of peers are easily taken for simpler than they are."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs
from scaler_kit import ratio, scale, seen, total

from fleet.config.policies import Nomad
from fleet.model import Decision, Observation, Reading
from scaler.decide import decide_pool
from scaler.policies.hpa import HpaMemory, HpaPast
from scaler.policies.hpa_replicas import Pod, Sized, Tolerance, from_pods
from scaler.policies.kpa import KpaPast, KpaSpec
from scaler.policies.kpa import scale as kpa_scale
from scaler.policies.kpa_measure import linear
from scaler.policies.kpa_stage import ACTIVATION_TIMEOUT, Stage, entered, sized
from scaler.policies.metrics import Load
from scaler.policies.nomad import scale as nomad_scale
from scaler.state import PoolState, VersionState
from scaler.windows import Change, Wish

NOW = 1000.0
TENTH = Tolerance(up=0.1, down=0.1)


def decided(
    observation: Observation, state: PoolState | None = None, **settings: Any
) -> tuple[Decision, PoolState]:
    known = state if state is not None else PoolState()
    (decision,), after = decide_pool([observation], scale(**settings), None, known)
    return decision, after


def sizes(steps: list[tuple[float, Observation]], **settings: Any) -> list[int]:
    """Of one look after the other, each at its time and the size that the last one gave."""
    state: PoolState | None = None
    found: list[int] = []
    for at, one in steps:
        desired = found[-1] if found else one.desired
        ready = desired if one.ready == one.desired else one.ready
        now = structs.replace(one, desired=desired, ready=ready, monotonic=at)
        decision, state = decided(now, state, **settings)
        found.append(decision.desired)
    return found


# hpa


def test_hpa_compares_whole_percentages() -> None:
    pods = [Pod(value=100 * used, weight=1000, full=100_000) for used in (559, 559)]
    assert from_pods(pods, 50, 2, TENTH) == Sized(2, 55), "55.9 % is 55 %, a tenth above 50 %"


def test_hpa_knows_nothing_without_a_pod_that_counts() -> None:
    assert from_pods([Pod(value=9, full=1, ignored=True)], 1, 1, TENTH) is None
    assert from_pods([Pod(value=9, full=0, weight=0)], 1, 1, TENTH) is None


@pytest.mark.parametrize(
    ("wanted", "wished", "expected"),
    [
        pytest.param(8, 20, 10, id="what shrinks is held back, and does not grow"),
        pytest.param(8, 9, 9, id="what shrinks goes to the largest wish"),
        pytest.param(8, 4, 8, id="what shrinks heeds no smaller wish"),
    ],
)
def test_hpas_wishes_never_turn_a_direction_round(wanted: int, wished: int, expected: int) -> None:
    memory = HpaMemory(past=HpaPast(wishes=(Wish(NOW - 10, wished),)))
    state = PoolState({"v1": VersionState(desired=10, memory=memory)})
    observation = seen(total(wanted, 1.0), desired=10, now=NOW)
    decision, _ = decided(observation, state, policy="hpa")
    assert decision.desired == expected


def test_a_window_for_growth_never_makes_hpa_shrink() -> None:
    memory = HpaMemory(past=HpaPast(wishes=(Wish(NOW - 10, 4),)))
    state = PoolState({"v1": VersionState(desired=6, memory=memory)})
    hpa = {"scale_up": {"stabilization_window": "1m"}, "scale_down": {"stabilization_window": "0s"}}
    decision, _ = decided(seen(total(7, 1.0), desired=6, now=NOW), state, policy="hpa", hpa=hpa)
    assert decision.desired == 6


@pytest.mark.parametrize(
    ("ups", "downs", "wanted", "expected"),
    [
        pytest.param((), ((20, 4),), 50, 28, id="growth over a period that began with more"),
        pytest.param(((20, 4),), ((10, 4),), 50, 20, id="growth after going up and down again"),
        pytest.param(((20, 4),), (), 0, 4, id="shrinking in a period that began with fewer"),
        pytest.param(((20, 4),), ((40, 9),), 0, 4, id="older changes count for nothing"),
    ],
)
def test_hpas_periods_begin_with_what_came_and_went_in_them(
    ups: tuple[tuple[float, int], ...],
    downs: tuple[tuple[float, int], ...],
    wanted: int,
    expected: int,
) -> None:
    """kubernetes/kubernetes#109058: changes against the direction count too."""
    past = HpaPast(
        ups=tuple(Change(NOW - age, by) for age, by in ups),
        downs=tuple(Change(NOW - age, by) for age, by in downs),
    )
    state = PoolState({"v1": VersionState(desired=10, memory=HpaMemory(past=past))})
    doubled = {"policies": [{"type": "percent", "value": 100, "period": "30s"}]}
    by_two = {
        "policies": [{"type": "pods", "value": 2, "period": "30s"}],
        "stabilization_window": "0s",
    }
    observation = seen(total(wanted, 1.0), desired=10, now=NOW)
    decision, _ = decided(
        observation, state, policy="hpa", hpa={"scale_up": doubled, "scale_down": by_two}
    )
    assert decision.desired == expected


def test_hpas_rates_count_what_was_made_of_a_decision() -> None:
    """Wanting fewer than `min` all the time is no reason to grow faster afterwards."""
    quiet = [(float(at), seen(total(0), desired=4)) for at in range(0, 60, 15)]
    busy = [(float(at), seen(total(1000), desired=4)) for at in range(60, 91)]
    hpa = {
        "scale_up": {"policies": [{"type": "pods", "value": 2, "period": "5m"}]},
        "scale_down": {"stabilization_window": "0s"},
    }
    assert sizes([*quiet, *busy], policy="hpa", min=4, hpa=hpa)[-1] == 6


OUTSIDE = Reading(signal="age", value=30.0, target=10.0, ratio=True, outside=True)


@pytest.mark.parametrize(
    ("reading", "ready", "starting", "expected"),
    [
        pytest.param(OUTSIDE, 2, 0, 6, id="a ratio from outside counts for each ready replica"),
        pytest.param(OUTSIDE, 2, 2, 6, id="whatever is on its way"),
        pytest.param(ratio(3.0), 2, 2, 6, id="replicas on their way bring down a mean of replicas"),
        pytest.param(ratio(2.0), 2, 2, 4, id="down to their present number at least"),
        pytest.param(OUTSIDE, 0, 2, 2, id="with none ready there is nothing to multiply"),
    ],
)
def test_hpa_takes_a_ratio_by_its_type(
    reading: Reading, ready: int, starting: int, expected: int
) -> None:
    there = ready + starting
    observation = seen(reading, desired=there, ready=ready, starting=starting)
    decision, _ = decided(observation, policy="hpa")
    assert decision.desired == expected


@pytest.mark.parametrize("value", [1e308, -1e308])
def test_hpa_bears_any_number(value: float) -> None:
    decision, _ = decided(seen(total(value), desired=2), policy="hpa", max=50)
    assert decision.desired in (2, 6), "the rates allow four more, the wishes no fewer"


# kpa


def test_kpas_panic_never_goes_below_what_was_ready_at_its_start() -> None:
    assert KpaPast.begun(1, 0.0) == KpaPast(panic_since=None, max_panic=1)
    assert KpaPast.begun(5, 7.0) == KpaPast(panic_since=7.0, max_panic=5)


def test_kpa_remembers_delayed_sizes_while_nothing_leads_to_a_version() -> None:
    spec = KpaSpec(target=1.0, scale_down_delay=60.0)
    alone = KpaSpec(target=1.0, scale_down_delay=60.0, reachable=False)
    size, past = kpa_scale(spec, KpaPast(), 0.0, 4, 4.0, 4.0)
    assert size == 4
    size, past = kpa_scale(alone, past, 10.0, 4, 0.0, 0.0)
    assert size == 0
    size, _ = kpa_scale(spec, past, 20.0, 4, 0.0, 0.0)
    assert size == 4


def test_kpas_mean_has_no_rounding_in_it_and_whole_buckets() -> None:
    loads = tuple(Load(float(at), 0.1) for at in range(3))
    assert linear(loads, 0.0, 3.0, 2.0) == 0.1
    assert linear((Load(3.0, 15.0), Load(6.0, 7.0)), 0.0, 5.0, 6.0, 3.0) == 11.0


@pytest.mark.parametrize(
    ("weight", "initial", "expected"),
    [
        pytest.param(100, 3, 3, id="of a version with weight"),
        pytest.param(100, 0, 0, id="none, if so configured"),
        pytest.param(0, 3, 0, id="of one without weight there is none"),
    ],
)
def test_kpa_begins_with_its_initial_size(weight: int, initial: int, expected: int) -> None:
    decision, _ = decided(
        seen(desired=0, weight=weight), policy="kpa", min=0, kpa={"initial_scale": initial}
    )
    assert decision.desired == expected


def test_kpa_goes_to_zero_after_a_stable_window_and_the_grace_period() -> None:
    idle = [(at, seen(desired=0)) for at in (0.0, 2.0, 62.0, 64.0, 90.0, 94.0, 96.0)]
    assert sizes(idle, policy="kpa", min=0) == [1, 1, 1, 1, 1, 0, 0]


def test_kpa_keeps_the_last_replica_for_the_longer_of_two_periods() -> None:
    """knative `pkg/reconciler/autoscaling/kpa/scaler.go`: the larger of grace and retention."""
    idle = [(at, seen(desired=0)) for at in (0.0, 2.0, 62.0, 64.0, 94.0, 360.0, 362.0)]
    kpa = {"scale_to_zero_pod_retention_period": "5m"}
    assert sizes(idle, policy="kpa", min=0, kpa=kpa) == [1, 1, 1, 1, 1, 1, 0]


def test_kpa_does_not_wait_where_the_pool_may_not_go_to_zero() -> None:
    idle = [(at, seen(desired=8)) for at in (0.0, 61.0, 63.0, 65.0)]
    assert sizes(idle, policy="kpa", min=2) == [8, 4, 2, 2]


def test_kpa_comes_back_from_zero_without_its_initial_size() -> None:
    idle = [(at, seen(desired=0)) for at in (0.0, 2.0, 4.0, 64.0, 66.0, 100.0)]
    busy = [(102.0, seen(desired=0, queued=1))]
    found = sizes([*idle, *busy], policy="kpa", min=0, kpa={"initial_scale": 2})
    assert found == [2, 2, 1, 1, 1, 0, 1]


@pytest.mark.parametrize(
    ("stage", "now", "answer"),
    [
        pytest.param(Stage("activating", 0.0), 300.0, (None, False), id="not while it starts"),
        pytest.param(
            Stage("activating", 0.0), ACTIVATION_TIMEOUT + 1, (0, True), id="unless it never does"
        ),
        pytest.param(Stage("active", 0.0), 59.0, (1, True), id="to one before a stable window"),
        pytest.param(Stage("active", 0.0), 60.0, (0, False), id="then the grace period begins"),
        pytest.param(Stage("inactive", 0.0), 29.0, (0, False), id="and goes on"),
        pytest.param(Stage("inactive", 0.0), 30.0, (0, True), id="and is over"),
    ],
)
def test_kpas_way_to_zero(stage: Stage, now: float, answer: tuple[int | None, bool]) -> None:
    assert sized(0, 4, stage, now, stable_window=60.0, grace=30.0) == answer


@pytest.mark.parametrize(
    ("stage", "answer", "ready", "expected"),
    [
        pytest.param("activating", 3, 2, Stage("activating", 0.0), id="too few are ready"),
        pytest.param("activating", 3, 3, Stage("active", 9.0, True), id="enough are ready"),
        pytest.param("activating", None, 3, Stage("active", 9.0, True), id="asked for or not"),
        pytest.param("active", 0, 3, Stage("inactive", 9.0, True), id="nothing is wanted"),
        pytest.param("active", 1, 0, Stage("activating", 9.0), id="what was ready is not"),
        pytest.param("inactive", 0, 1, Stage("inactive", 0.0), id="nothing is wanted still"),
        pytest.param("inactive", 1, 3, Stage("active", 9.0, True), id="something is wanted again"),
    ],
)
def test_kpas_stages(stage: Any, answer: int | None, ready: int, expected: Stage) -> None:
    assert entered(Stage(stage, 0.0), answer, ready, 3, 9.0) == expected


# keda


def test_keda_rests_below_min_until_there_is_activity() -> None:
    settings = {"policy": "keda", "min": 5, "keda": {"idle_replicas": 0, "polling_interval": "2s"}}
    busy, idle = seen(total(9.0), desired=5), seen(total(0.0), desired=5)
    steps = [(0.0, busy), (10.0, idle), (320.0, idle), (330.0, idle), (340.0, busy)]
    assert sizes(steps, **settings) == [5, 5, 0, 0, 5]


def test_kedas_min_is_the_pools_not_each_versions() -> None:
    old = seen(total(9.0), desired=2)
    new = seen(desired=0, weight=0, version="v2")
    settings = scale(policy="keda", min=2)
    decisions, _ = decide_pool([old, new], settings, None, PoolState())
    assert [decision.desired for decision in decisions] == [2, 0]


def test_keda_goes_straight_to_the_size_of_a_fallback() -> None:
    stood_in = total(60.0, 10.0, error="gone")
    decision, _ = decided(seen(stood_in, desired=0), policy="keda", min=0)
    assert decision.desired == 6


def test_kedas_activity_needs_a_signal_of_its_own() -> None:
    both = (total(60.0, 10.0, error="gone"), total(1.0, signal="jobs"))
    decision, _ = decided(seen(*both, desired=0), policy="keda", min=0)
    assert decision.desired == 1, "HPA does the rest"


def test_keda_heeds_no_cooldown_before_the_first_activity() -> None:
    settings = {"policy": "keda", "min": 0}
    idle = seen(total(0.0), desired=3)
    assert sizes([(0.0, idle)], **settings) == [0]
    waiting = {**settings, "keda": {"initial_cooldown_period": "1m"}}
    assert sizes([(0.0, idle), (59.0, idle), (60.0, idle)], **waiting)[1:] == [3, 0]


def test_kedas_cooldown_counts_from_the_poll_that_saw_activity() -> None:
    busy, idle = seen(total(9.0), desired=1), seen(total(0.0), desired=1)
    steps = [(0.0, busy), *((at, idle) for at in (10.0, 29.0, 30.0, 299.0, 300.0))]
    assert sizes(steps, policy="keda", min=0) == [1, 1, 1, 1, 1, 0]


def test_kedas_hpa_grows_by_what_is_known_while_something_is_lost() -> None:
    """KEDA holds what has no activity while a trigger fails; HPA has a mind of its own."""
    quiet = total(15.0, 5.0, signal="jobs")
    keda = {"activation": 20}
    lost = seen(total(None, error="gone"), quiet, desired=2)
    assert sizes([(0.0, lost)], policy="keda", min=0, keda=keda) == [3]
    empty = seen(total(None, error="gone"), quiet, desired=0)
    assert sizes([(0.0, empty)], policy="keda", min=0, keda=keda) == [0]
    resting = {**keda, "idle_replicas": 1}
    asleep = seen(total(None, error="gone"), quiet, desired=1)
    assert sizes([(0.0, asleep)], policy="keda", min=4, keda=resting) == [1]


def test_keda_does_not_let_requests_wait_for_its_next_poll() -> None:
    quiet, waiting = seen(total(0.0), desired=0), seen(total(1.0), desired=0, queued=1)
    assert sizes([(0.0, quiet), (2.0, waiting)], policy="keda", min=0) == [0, 1]
    elsewhere = seen(total(1.0), desired=0)
    assert sizes([(0.0, quiet), (2.0, elsewhere)], policy="keda", min=0) == [0, 0]


@pytest.mark.parametrize(("least", "expected"), [(1, [4, 4, 4]), (0, [4, 4, 0])])
def test_kedas_activation_decides_only_whether_there_is_a_replica(
    least: int, expected: list[int]
) -> None:
    """KEDA, scaling deployments: with a minimum of one or more the activation is ignored."""
    active, inactive = total(20.0, 5.0), total(0.0, 5.0, inactive=20.0)
    steps = [
        (0.0, seen(active, desired=4)),
        *((at, seen(inactive, desired=4)) for at in (31.0, 999.0)),
    ]
    assert sizes(steps, policy="keda", min=least) == expected


def test_kedas_hpa_looks_more_often_than_keda_polls() -> None:
    settings = {"policy": "keda", "min": 1, "keda": {"polling_interval": "5m"}}
    steps = [(0.0, seen(total(10.0), desired=1)), (20.0, seen(total(40.0), desired=1))]
    assert sizes(steps, **settings) == [1, 4]


# ray


def test_ray_grows_from_zero_at_once_though_its_target_waits() -> None:
    waiting = seen(desired=2, ready=0, starting=2, queued=1)
    decision, _ = decided(waiting, policy="ray", ray={"upscaling_factor": 10})
    assert decision.desired == 10


@pytest.mark.parametrize(("function", "expected"), [("mean", 3), ("max", 5), ("min", 1)])
def test_ray_takes_the_mean_of_its_loads_or_an_extreme(function: str, expected: int) -> None:
    ray = {"aggregation_function": function, "upscale_delay": "1s", "target_ongoing_requests": 2}
    steps = [(float(at), seen(desired=1, in_flight=load)) for at, load in enumerate((2, 6, 10))]
    assert sizes(steps, policy="ray", ray=ray)[-1] == expected


def test_rays_last_gang_goes_as_one() -> None:
    ray = {"gang_size": 2, "downscale_delay": "0s"}
    steps = [(at, seen(desired=8)) for at in (0.0, 40.0)]
    assert sizes(steps, policy="ray", min=0, ray=ray) == [2, 0]
    assert sizes(steps, policy="ray", min=2, ray=ray) == [2, 2]


# nomad


@pytest.mark.parametrize(
    ("value", "count", "expected"),
    [
        pytest.param(90.0, 0, 2, id="up from zero"),
        pytest.param(90.0, 4, 6, id="up"),
        pytest.param(1.0, 8, 5, id="down"),
        pytest.param(0.0, 0, 0, id="nothing to do at zero"),
        pytest.param(-1.0, 0, 0, id="less than nothing to do at zero"),
    ],
)
def test_nomads_steps_are_limited_wherever_they_begin(
    value: float, count: int, expected: int
) -> None:
    """nomad-autoscaler#848: the most that one scaling operation adds or removes."""
    settings = Nomad(max_scale_up=2, max_scale_down=3)
    assert nomad_scale(value, 10.0, count, settings) == expected
