"""`slo` from one replica or none, where starts are long and the queue grows meanwhile."""

from __future__ import annotations

import pytest
from simulation_kit import poisson, setup

from fleet.config.schema import Scale
from scaler.simulate.controller import PolicyController
from scaler.simulate.distribution import parse_distribution
from scaler.simulate.engine import simulate
from scaler.simulate.run import Run


def run(rate: float, mean: float, initial: int = 1, cold_start: str = "60s") -> Run:
    scale = Scale(min=initial, max=400, policy="slo")
    begun = setup(
        scale=scale,
        initial=initial,
        cold_start=parse_distribution(cold_start),
        queue_limit=100_000,
        queue_timeout=600.0,
    )
    return simulate(begun, poisson(rate, mean, end=300.0), PolicyController(scale))


@pytest.mark.parametrize(
    ("rate", "mean"),
    [
        pytest.param(4.0, 5.0, id="few long requests"),
        pytest.param(40.0, 1.0, id="many short ones"),
    ],
)
def test_replicas_on_their_way_are_not_cancelled_and_started_anew(rate: float, mean: float) -> None:
    """They are for 20 or 40 busy slots, one each, and for what has piled up within a minute."""
    done = run(rate, mean)
    peak = max(size for _, size in done.changes)
    assert done.flips <= 2
    assert done.starts <= 1.2 * peak


def test_what_has_piled_up_is_served_soon_after_the_first_start() -> None:
    done = run(40.0, 1.0)
    piled_up = [at for at, queued in zip(done.series.at, done.series.queued, strict=True) if queued]
    assert 60 < max(piled_up) < 100


def test_what_was_started_before_anything_was_known_is_given_up_once_it_is() -> None:
    """From none, a replica for each of a thousand that wait; ten are busy then."""
    done = run(100.0, 0.1, initial=0, cold_start="10s")
    assert max(size for _, size in done.changes) == 400
    assert done.changes[-1][0] < 120
    assert done.changes[-1][1] < 40
