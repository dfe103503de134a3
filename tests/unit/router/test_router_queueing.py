from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.queueing import ORDERS, ClassQueue, DelayWatch, PlainQueue, Queue, queue_for
from router.queueing.classes import OVERDUE_SHARE
from router.queueing.settings import QueueSettings
from tests.unit.router.kit import Waits

Joins = list[Waits]


def classes(count: int = 1, **settings: Any) -> ClassQueue[Waits]:
    return ClassQueue(QueueSettings(classes=count, **settings))


def w(name: str, band: int = 0, tenant: bytes = b"", until: float = 10.0) -> Waits:
    return Waits(name, until, band=band, tenant=tenant)


def joined(queue: Queue[Waits], *waiters: Waits, at: float = 0.0) -> Queue[Waits]:
    for number, waiter in enumerate(waiters):
        queue.join(waiter, at + number / 1000)
    return queue


def taken(queue: Queue[Waits], now: float = 0.5) -> str:
    return " ".join(queue.take(now)[0].name for _ in range(len(queue)))


def tenants(text: str, band: int = 0) -> Joins:
    """`a a b`: three waiters, of tenants a, a and b, named a1 a2 b1."""
    seen: dict[str, int] = {}
    made = []
    for tenant in text.split():
        seen[tenant] = seen.get(tenant, 0) + 1
        made.append(w(f"{tenant}{seen[tenant]}", band, tenant.encode()))
    return made


ORDER: Mapping[str, tuple[Callable[[], Queue[Waits]], Joins, str]] = {
    "nothing set: the order of arrival": (PlainQueue, [w("a"), w("b"), w("c")], "a b c"),
    "the highest class goes first": (
        lambda: classes(3), [w("l", 2), w("h", 0), w("m", 1), w("h2", 0)], "h h2 m l",
    ),
    "a class that is not known is the lowest": (lambda: classes(2), [w("x", 7), w("h")], "h x"),
    "earliest deadline first": (
        lambda: classes(order="edf"), [w("c", until=9), w("a", until=1), w("b", until=5)], "a b c",
    ),
    "equal deadlines in the order of arrival": (
        lambda: classes(order="edf"), [w("a"), w("b"), w("c")], "a b c",
    ),
    "newest first under pressure": (
        lambda: classes(order="lifo", pressed_after=0.1), [w("a"), w("b"), w("c")], "c b a",
    ),
    "lifo without pressure is the order of arrival": (
        lambda: classes(order="lifo"), [w("a"), w("b"), w("c")], "a b c",
    ),
    "tenants take turns": (
        lambda: classes(tenants=True), tenants("a a a a a b b"), "a1 b1 a2 b2 a3 a4 a5",
    ),
    "a tenant of weight 2 has two in its turn": (
        lambda: classes(tenants=True, weights={b"a": 2}),
        tenants("a a a a a b b"), "a1 a2 b1 a3 a4 b2 a5",
    ),
    "turns are inside a class": (
        lambda: classes(2, tenants=True), tenants("a a b", 1) + tenants("c c"), "c1 c2 a1 b1 a2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ORDER)
def test_order(case: str) -> None:
    make, waiters, expected = ORDER[case]
    assert taken(joined(make(), *waiters)) == expected


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("fair", [False, True], ids=["alone", "by tenant"])
def test_one_that_comes_back_goes_to_the_front(order: str, fair: bool) -> None:
    queue = joined(classes(order=order, tenants=fair), *tenants("a b b"))
    queue.join(w("again", tenant=b"b", until=99), 0.1, front=True)
    assert queue.take(0.2)[0].name == "again"


def test_an_overdue_class_gets_every_eighth_slot_and_no_more() -> None:
    queue = classes(2, aging=5.0)
    joined(queue, *(w(f"l{n}", 1) for n in range(9)))
    got = []
    for number in range(4 * OVERDUE_SHARE):
        queue.join(w("h"), 100.0 + number)
        got.append(queue.take(100.0 + number)[0].name)
    assert got.count("h") == 3.5 * OVERDUE_SHARE
    assert [n for n, name in enumerate(got, 1) if name != "h"] == [8, 16, 24, 32]


def test_without_aging_a_lower_class_waits_for_ever() -> None:
    queue = joined(classes(2), w("l", 1))
    for number in range(50):
        queue.join(w("h"), 100.0 + number)
        assert queue.take(100.0 + number)[0].name == "h"


LESSER: Mapping[str, tuple[Callable[[], Queue[Waits]], Joins, tuple[int, bytes], str | None]] = {
    "nobody is less where all are alike": (PlainQueue, [w("a", 1)], (0, b""), None),
    "the newest of the lowest class": (
        lambda: classes(3), [w("m", 1), w("l1", 2), w("l2", 2)], (0, b""), "l2",
    ),
    "nobody of the same class": (lambda: classes(2), [w("a", 1)], (1, b""), None),
    "nobody of a higher class": (lambda: classes(2), [w("a", 0)], (1, b""), None),
    "the newest of the tenant with the most places": (
        lambda: classes(tenants=True), tenants("a a a b"), (0, b"c"), "a3",
    ),
    "not for a tenant that would have as many": (
        lambda: classes(tenants=True), tenants("a a b"), (0, b"b"), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LESSER)
def test_who_gives_way(case: str) -> None:
    make, waiters, newcomer, expected = LESSER[case]
    found = joined(make(), *waiters).lesser(*newcomer)
    assert (found.name if found is not None else None) == expected


def test_the_stale_are_told_from_the_lowest_class_and_oldest_first() -> None:
    queue = joined(classes(2), w("h", 0), w("l1", 1), w("l2", 1))
    found = queue.stale(0.5)
    assert found is not None and found.name == "l1"
    assert queue.oldest() == 0.0
    assert queue.stale(0.0) is None, "younger than that"
    queue.leave(found)
    assert joined(PlainQueue(), w("a"), w("b")).stale(0.1).name == "a"  # type: ignore[union-attr]


def test_the_queue_without_settings_is_the_plain_one() -> None:
    assert isinstance(queue_for(QueueSettings()), PlainQueue)
    assert isinstance(queue_for(QueueSettings(order="edf")), ClassQueue)


SETTINGS = st.builds(
    QueueSettings, classes=st.integers(1, 3), order=st.sampled_from(sorted(ORDERS)),
    tenants=st.booleans(), aging=st.sampled_from([0.0, 2.0]), pressed_after=st.just(3.0),
)  # fmt: skip
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "front", "take", "leave"]), st.integers(0, 2),
        st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 20),
    ), max_size=60,
)  # fmt: skip


@given(SETTINGS, STEPS)
def test_nobody_is_lost_or_served_twice(settings: QueueSettings, steps: list[Any]) -> None:
    queue: Queue[Waits] = queue_for(settings)
    inside: list[Waits] = []
    for now, (step, band, tenant, number) in enumerate(steps):
        if step in ("join", "front"):
            waiter = w(str(now), band, tenant, until=number)
            queue.join(waiter, now, front=step == "front")
            inside.append(waiter)
        elif inside and step == "take":
            waiter, _ = queue.take(now)
            inside.remove(waiter)
        elif inside:
            waiter = inside.pop(number % len(inside))
            queue.leave(waiter)
        assert len(queue) == len(inside)
        assert set(queue) == set(inside)
        lesser = queue.lesser(band, tenant)
        assert lesser is None or (
            lesser in inside and lesser.band >= min(band, settings.classes - 1)
        )
    while inside:
        inside.remove(queue.take(1000.0)[0])
    with pytest.raises(KeyError):
        queue.take(1000.0)


DELAYS: Mapping[str, list[tuple[float, float | None, float | None]]] = {
    "short waits are fine": [(0.0, 0.0, None), (5.0, 4.95, None)],
    "a long wait is fine for an interval": [(0.4, 0.28, None), (1.3, 1.0, None)],
    "then those go who have waited twice the target": [(0.4, 0.28, None), (1.5, 1.2, 1.3)],
    "one good look starts the interval anew": [
        (0.4, 0.28, None), (0.9, 0.82, None), (1.5, 1.2, None), (2.4, 2.2, 2.2),
    ],
    "an empty queue is good": [(0.4, 0.28, None), (0.9, None, None), (1.5, 1.2, None)],
}  # fmt: skip


@pytest.mark.parametrize("case", DELAYS)
def test_delay(case: str) -> None:
    watch = DelayWatch(target=0.1, interval=1.0)
    for now, oldest, expected in DELAYS[case]:
        got = watch.stale_before(oldest, now)
        assert got == (None if expected is None else pytest.approx(expected)), now
