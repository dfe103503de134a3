"""Averages of load, from looks that do not come evenly."""

from __future__ import annotations

import pytest

from scaler.policies.kpa_measure import by_second, linear
from scaler.policies.metrics import Load, held_mean

LOOKS = (Load(10.0, 4.0), Load(10.2, 8.0), Load(13.0, 2.0))


def test_many_looks_in_a_second_are_one_and_a_second_without_a_look_has_the_last() -> None:
    assert by_second(LOOKS) == (Load(10, 6.0), Load(11, 6.0), Load(12, 6.0), Load(13, 2.0))


def test_a_pause_between_looks_is_not_taken_for_idleness() -> None:
    assert linear(by_second(LOOKS), 10.0, 60.0, 13.0) == 5.0


def test_a_load_holds_until_the_next_look() -> None:
    assert held_mean(LOOKS, 0.0, 14.0) == pytest.approx((4 * 0.2 + 8 * 2.8 + 2 * 1) / 4)
    assert held_mean((), 0.0, 14.0) == 0.0
