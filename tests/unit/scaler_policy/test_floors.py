"""Floors by the clock and by forecast, and pauses."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from scaler_kit import scale, seen, total

from fleet.config.floors import Predict, Schedule
from scaler.decide import Override, decide_pool
from scaler.forecast import Forecast, looked, needed
from scaler.schedule import floor
from scaler.state import PoolState, VersionState

OFFICE = Schedule(start="0 8 * * 1-5", end="0 18 * * 1-5", timezone="Europe/Berlin", replicas=6)
NIGHT = Schedule(start="0 22 * * *", end="0 6 * * *", replicas=2)


@pytest.mark.parametrize(
    ("moment", "least"),
    [
        pytest.param(datetime(2026, 1, 7, 6, 59, tzinfo=UTC), 0, id="before eight in winter"),
        pytest.param(datetime(2026, 1, 7, 7, 0, tzinfo=UTC), 6, id="eight in winter"),
        pytest.param(datetime(2026, 7, 8, 6, 0, tzinfo=UTC), 6, id="eight in summer"),
        pytest.param(datetime(2026, 7, 8, 16, 0, tzinfo=UTC), 0, id="six in the evening"),
        pytest.param(datetime(2026, 1, 10, 12, 0, tzinfo=UTC), 0, id="Saturday"),
        pytest.param(datetime(2026, 1, 7, 23, 0, tzinfo=UTC), 2, id="night, over midnight"),
        pytest.param(datetime(2026, 1, 8, 5, 0, tzinfo=UTC), 2, id="night, early"),
    ],
)
def test_a_schedule_is_in_force_from_its_start_to_its_end(moment: datetime, least: int) -> None:
    assert floor([OFFICE, NIGHT], moment.timestamp()) == least


def one(present: int, load: float, override: Override | None = None, **settings: Any) -> Any:
    state = PoolState({"v1": VersionState(desired=present)})
    observation = seen(total(load), desired=present, now=1_800_000_000.0)
    (decision,), _ = decide_pool([observation], scale(stabilization=0, **settings), override, state)
    return decision


ALWAYS = {"start": "0 0 * * *", "end": "0 0 1 1 *", "replicas": 3}


@pytest.mark.parametrize(
    ("settings", "present", "load", "desired", "reason"),
    [
        pytest.param(
            {"schedule": [ALWAYS]}, 1, 10, 3,
            "set by schedule (the pool has at least 3 now)", id="a schedule raises",
        ),
        pytest.param({"schedule": [ALWAYS], "max": 2}, 1, 10, 2, "", id="but not beyond max"),
        pytest.param(
            {"pause": "in"}, 4, 10, 4, "kept by pause (scaling in is paused)", id="paused in",
        ),
        pytest.param({"pause": "in"}, 2, 40, 4, "needs 4 replicas", id="out goes on"),
        pytest.param(
            {"pause": "out"}, 2, 40, 2, "kept by pause (scaling out is paused)", id="paused out",
        ),
        pytest.param({"pause": "out"}, 4, 30, 3, "needs 3 replicas", id="in goes on"),
        pytest.param({"pause": "both", "min": 2}, 1, 40, 1, "pause", id="both, min included"),
    ],
)  # fmt: skip
def test_decided(
    settings: dict[str, Any], present: int, load: float, desired: int, reason: str
) -> None:
    decision = one(present, load, **settings)
    assert decision.desired == desired
    assert reason in decision.reason


def test_a_hand_outranks_a_pause() -> None:
    assert one(2, 20, Override(5), pause="both").desired == 5


SETTINGS = Predict.model_validate({"season": "1h", "step": "1m", "ahead": "2m", "seasons": 3})


def day(at: float) -> float:
    return 50 + 40 * math.sin(2 * math.pi * at / 3600)


def history(hours: int) -> Forecast:
    forecast = None
    for at in range(0, hours * 3600, 10):
        forecast = looked(forecast, day(at), float(at), SETTINGS)
    assert forecast is not None
    return forecast


def test_without_a_season_nothing_is_foreseen() -> None:
    assert needed(history(1), 3600.0, 4, SETTINGS)[0] in (
        0,
        needed(history(2), 7200.0, 4, SETTINGS)[0],
    )
    assert needed(looked(None, 50.0, 0.0, SETTINGS), 0.0, 4, SETTINGS) == (0, 0.0)


def test_the_load_of_the_season_before_is_expected_again() -> None:
    forecast = history(2)
    replicas, load = needed(forecast, 7200.0, 4, SETTINGS)
    assert load == pytest.approx(day(7200 + 150), rel=0.05)
    assert replicas == math.ceil(load / 2.8)


def test_how_good_it_was_is_known() -> None:
    assert history(1).error is None
    error = history(3).error
    assert error is not None and error < 0.05


def test_a_day_busier_than_usual_raises_the_forecast() -> None:
    forecast = history(2)
    for at in range(7200, 7260, 10):
        forecast = looked(forecast, 1.5 * day(at), float(at), SETTINGS)
    forecast = looked(forecast, 1.5 * day(7260), 7260.0, SETTINGS)
    assert needed(forecast, 7260.0, 4, SETTINGS)[1] == pytest.approx(1.5 * day(7410), rel=0.06)


def test_the_history_is_bounded() -> None:
    assert len(history(5).history) == 180


def test_a_forecast_only_raises() -> None:
    forecast = history(2)
    state = PoolState({"v1": VersionState(desired=1)}, {"v1": forecast})
    settings = scale(
        stabilization=0,
        up={"replicas": 100},
        predict=SETTINGS.model_dump(mode="json") | {"season": "1h", "step": "1m", "ahead": "2m"},
    )
    low = seen(total(10), desired=1, at=7200.0, now=7200.0, in_flight=60)
    (decision,), _ = decide_pool([low], settings, None, state)
    assert decision.desired == needed(forecast, 7200.0, 4, SETTINGS)[0]
    assert "is expected within 2m" in decision.reason
    high = seen(total(900), desired=1, at=7200.0, now=7200.0, in_flight=60)
    (decision,), _ = decide_pool([high], settings, None, state)
    assert decision.desired == 90
