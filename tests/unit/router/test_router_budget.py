from __future__ import annotations

from fleet.wire import BudgetEntry
from router.budget import Budget


def spent(budget: Budget, now: float, requests: int, tries: int) -> int:
    """How many of so many tries are allowed at once."""
    return sum(budget.take(now, requests) for _ in range(tries))


def test_a_quiet_pool_has_its_floor_for_ten_seconds() -> None:
    budget = Budget(BudgetEntry(share=0.2, floor=1))
    assert spent(budget, 0.0, 0, 50) == 10


def test_a_share_of_the_requests_of_the_window_comes_on_top() -> None:
    budget = Budget(BudgetEntry(share=0.2, floor=1))
    budget.mark(0.0, 1000)
    assert spent(budget, 5.0, 1500, 500) == 10 + 100


def test_what_is_older_than_the_window_neither_gives_nor_takes() -> None:
    budget = Budget(BudgetEntry(share=0.2, floor=1))
    for second in range(30):
        budget.mark(float(second), 100 * second)
    assert spent(budget, 29.0, 2900, 500) == 10 + 200
    for second in range(30, 42):
        budget.mark(float(second), 2900)
    assert spent(budget, 41.0, 2900, 500) == 10


def test_a_strained_pool_has_a_quarter() -> None:
    budget = Budget(BudgetEntry(share=0.2, floor=2))
    budget.strained = True
    assert spent(budget, 0.0, 0, 50) == 5


def test_counters_that_fall_give_nothing_and_take_nothing() -> None:
    budget = Budget(BudgetEntry(share=0.2, floor=1))
    budget.mark(0.0, 1000)
    assert spent(budget, 1.0, 0, 50) == 10


def test_without_floor_and_requests_nothing_is_allowed() -> None:
    assert not Budget(BudgetEntry(share=0.2, floor=0)).take(0.0, 0)


def test_the_window_keeps_a_bounded_number_of_marks() -> None:
    budget = Budget(BudgetEntry())
    for tick in range(20_000):
        budget.mark(tick * 0.05, tick)
    assert len(budget._marks) <= 12
