"""One tick of a pool as a whole: numbers, directions and the sentences people read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from scaler_kit import scale, seen, total

from fleet.model import Decision, Direction, Observation, Reading
from scaler.decide import Override, decide_pool
from scaler.state import PoolState, VersionState
from scaler.windows import Wish

NOW = 1000.0


def known(desired: int, age: float = 1.0) -> PoolState:
    return PoolState({"v1": VersionState(desired=desired, wishes=(Wish(NOW - age, desired),))})


def one(
    observation: Observation,
    state: PoolState | None = None,
    override: Override | None = None,
    **settings: Any,
) -> Decision:
    """The decision of a pool with one version."""
    (decision,), _ = decide_pool(
        [observation], scale(**settings), override, state or known(observation.desired)
    )
    return decision


def in_flight(busy: int, queued: int) -> Reading:
    return Reading(
        signal="router.in_flight",
        value=busy + queued,
        target=5.6,
        detail=f"{busy} + queue {queued} = {busy + queued}",
    )


SENTENCES = {
    "up": (
        one(seen(in_flight(11, 9), desired=1, now=NOW)),
        "up 1 -> 4: router.in_flight 11 + queue 9 = 20 needs 4 replicas at 5.6 each",
    ),
    "up, not the whole way": (
        one(seen(in_flight(11, 49), desired=1, now=NOW)),
        "up 1 -> 5: router.in_flight 11 + queue 49 = 60 needs 11 replicas at 5.6 each, "
        "limited by up (at most 5: 4 or 100% in 15s)",
    ),
    "down": (
        one(seen(total(20), desired=4, now=NOW), known(4, age=60)),
        "down 4 -> 2: queue 20 needs 2 replicas at 10 each",
    ),
    "hold, kept by a guardrail": (
        one(seen(total(20), desired=4, now=NOW), known(4, age=12)),
        "hold 4: wanted 2, kept by stabilization (4 wanted 12s ago)",
    ),
    "hold, right as it is": (
        one(seen(total(40), desired=4, now=NOW)),
        "hold 4: queue 40 needs 4 replicas at 10 each",
    ),
    "hold at max": (
        one(seen(total(90), desired=6, now=NOW), max=6),
        "hold 6: wanted 9, kept by max (the pool has at most 6)",
    ),
    "up to min": (
        one(seen(total(0), desired=0, now=NOW), min=2),
        "up 0 -> 2: wanted 0, set by min (the pool has at least 2)",
    ),
    "held by hand": (
        one(seen(total(10), desired=1, now=NOW), override=Override(7)),
        "up 1 -> 7: wanted 1, set by held (the pool is held at 7 by hand)",
    ),
    "a lost signal": (
        one(seen(total(None, error="no answer"), total(10), desired=4, now=NOW), known(4, age=60)),
        "hold 4: wanted 1, kept by lost (queue: no answer)",
    ),
}


@pytest.mark.parametrize(("decision", "sentence"), SENTENCES.values(), ids=SENTENCES.keys())
def test_the_sentence_tells_what_and_why(decision: Decision, sentence: str) -> None:
    assert decision.reason == sentence
    assert decision.reason.startswith(decision.direction)


def test_a_decision_carries_its_numbers_and_its_grounds() -> None:
    decision = one(seen(total(60), total(5), desired=1, now=NOW))
    assert (decision.current, decision.wanted, decision.desired) == (1, 6, 5)
    assert decision.direction is Direction.UP
    assert [proposal.replicas for proposal in decision.proposals] == [6, 1]
    assert decision.limits == ("up (at most 5: 4 or 100% in 15s)",)


OVERRIDES = {
    "holds the total": (Override(3), 3),
    "may be beyond max": (Override(30), 30),
    "may be zero though min is one": (Override(0), 0),
    "holds until its time": (Override(3, NOW + 1), 3),
    "ends at its time": (Override(3, NOW), 4),
}


@pytest.mark.parametrize(("override", "size"), OVERRIDES.values(), ids=OVERRIDES.keys())
def test_an_override(override: Override, size: int) -> None:
    observation = seen(total(40), desired=4, now=NOW)
    assert one(observation, override=override, min=1, max=10).desired == size


def pair(first: int, second: int, **more: Any) -> list[Observation]:
    """v1 with weight 95 and v2 with weight 5, and what they need."""
    return [
        seen(total(first, 1), version="v1", weight=95, now=NOW, **{"desired": 0, **more}),
        seen(total(second, 1), version="v2", weight=5, now=NOW, **{"desired": 0, **more}),
    ]


PAIRS: dict[str, tuple[list[Observation], dict[str, Any], Override | None, list[int]]] = {
    "each version is sized by its own demand": (pair(2, 3), {"min": 1}, None, [2, 3]),
    "a new canary is there before its traffic": (pair(2, 0), {"min": 1}, None, [2, 1]),
    "a canary of a pool with min 0 is there while the pool is awake": (
        pair(1, 0),
        {"min": 0},
        None,
        [1, 1],
    ),
    "an idle pool with min 0 is empty": (pair(0, 0), {"min": 0}, None, [0, 0]),
    "an override is split like min": (pair(0, 0), {"min": 1}, Override(10), [9, 1]),
    "an override below the demand is split by demand": (pair(4, 2), {}, Override(3), [2, 1]),
    "an override of zero stops every version": (pair(4, 2), {"min": 1}, Override(0), [0, 0]),
}


@pytest.mark.parametrize(
    ("observations", "settings", "override", "sizes"), PAIRS.values(), ids=PAIRS.keys()
)
def test_versions_of_a_pool(
    observations: list[Observation],
    settings: dict[str, Any],
    override: Override | None,
    sizes: list[int],
) -> None:
    decisions, _ = decide_pool(observations, scale(**settings), override, PoolState())
    assert [decision.desired for decision in decisions] == sizes


def test_a_canary_without_load_says_why_it_is_there() -> None:
    (_, canary), _ = decide_pool(pair(2, 0), scale(min=1), None, PoolState())
    assert canary.reason == "up 0 -> 1: wanted 0, set by share (weight 5 keeps at least 1)"


def test_versions_that_compete_for_max_do_not_take_turns_in_taking_from_each_other() -> None:
    state, sizes, history = PoolState(), {"v1": 0, "v2": 0}, []
    for tick in range(50):
        loads = {"v1": 5, "v2": 1} if tick % 2 else {"v1": 1, "v2": 5}
        observations = [
            seen(
                total(load, 1),
                version=version,
                weight=50,
                desired=sizes[version],
                now=NOW + tick,
            )
            for version, load in loads.items()
        ]
        decisions, state = decide_pool(observations, scale(min=1, max=4), None, state)
        sizes = {decision.version: decision.desired for decision in decisions}
        history.append(tuple(sizes.values()))
    assert set(history[2:]) == {(2, 2)}


def test_a_version_that_is_gone_is_forgotten() -> None:
    state = PoolState({"old": VersionState(desired=3)})
    _, after = decide_pool(pair(1, 1), scale(), None, state)
    assert set(after.versions) == {"v1", "v2"}


def test_a_pool_without_versions_decides_nothing() -> None:
    assert decide_pool([], scale(), Override(3), PoolState()) == ((), PoolState())


def test_what_is_remembered_goes_through_json() -> None:
    _, state = decide_pool(pair(2, 3), scale(), None, PoolState())
    assert msgspec.json.decode(msgspec.json.encode(state), type=PoolState) == state
