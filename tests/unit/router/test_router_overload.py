from __future__ import annotations

import platform
import random
from collections.abc import Callable

import pytest

from fleet.wire import OverloadEntry, QueueEntry
from router.classing import Classing
from router.concurrency import Gradient2
from router.overload import Overload, resident_bytes, shrink_heap


def pressed(severity: float) -> Overload:
    overload = Overload()
    overload.configure(OverloadEntry(memory=1000))
    overload.read(0.0, round((0.9 + 0.1 * severity) * 1000))
    return overload


@pytest.mark.parametrize(
    ("severity", "classes", "critical", "shares"),
    [
        (0.0, 3, False, [0.0, 0.0, 0.0]),
        (0.5, 3, False, [0.0, 0.5, 1.0]),
        (1.0, 3, False, [1.0, 1.0, 1.0]),
        (0.5, 1, False, [0.5]),
        (1.0, 1, True, [0.0]),
        (1.5, 2, True, [0.0, 1.0]),
    ],
    ids=["none", "from below", "all", "a part of one class", "critical last", "critical too"],
)
def test_the_share_refused(
    severity: float, classes: int, critical: bool, shares: list[float]
) -> None:
    overload = pressed(severity)
    for band, share in enumerate(shares):
        refused = [overload.refuses("p", band, classes, critical=critical) for _ in range(100)]
        assert sum(r is not None for r in refused) == pytest.approx(100 * share, abs=1)
        assert set(refused) <= {None, "memory"}


def test_one_late_tick_is_no_overload_but_many_are() -> None:
    overload = Overload()
    overload.configure(OverloadEntry(lag=0.1))
    overload.read(0.3, None)
    assert overload.severity == 0
    for _ in range(20):
        overload.read(0.3, None)
    assert overload.severity == pytest.approx(2.0, abs=0.1)
    assert overload.refuses("p", 0, 1, critical=False) == "lag"
    for _ in range(20):
        overload.read(0.0, None)
    assert overload.severity == 0


def test_without_limits_nothing_is_overload() -> None:
    overload = Overload()
    overload.read(100.0, 1 << 40)
    assert overload.severity == 0


def test_a_limit_taken_away_ends_the_overload() -> None:
    overload = pressed(1.5)
    overload.configure(OverloadEntry())
    assert overload.severity == 0


def test_the_resident_size_is_a_plausible_one() -> None:
    size = resident_bytes()
    assert size is not None and 1 << 20 < size < 1 << 40


CLASSES = QueueEntry(
    classes=("high", "mid", "low"), class_header="X-Priority", class_values={"gold": "high"}
)


@pytest.mark.parametrize(
    ("header", "route", "band"),
    [
        (None, None, 2), (None, "mid", 1), (b"high", "mid", 0), (b"gold", None, 0),
        (b"nonsense", "mid", 1), (None, "gone", 2),
    ],
    ids=["the lowest by default", "the route's", "the header's", "by value",
         "a header that says nothing known", "a route's class that is gone"],
)  # fmt: skip
def test_the_class_of_a_request(header: bytes | None, route: str | None, band: int) -> None:
    found = {b"x-priority": header}
    assert Classing(CLASSES).band(route, found.get) == band


def limit_after(latency: Callable[[int], float], *, most: int = 100, seed: int = 1) -> int:
    """The limit after 3000 requests to a replica that is always fully used."""
    rand = random.Random(seed)
    gradient = Gradient2(most)
    for _ in range(3000):
        gradient.sample(latency(gradient.limit) * rand.uniform(0.8, 1.2), gradient.limit)
        assert 1 <= gradient.limit <= most
    return gradient.limit


def serves(workers: int) -> Callable[[int], float]:
    """Seconds of a request when `n` are under way at a replica that works on `workers` at once."""
    return lambda n: max(1.0, n / workers)


@pytest.mark.parametrize("workers", [8, 20, 40])
def test_the_limit_settles_near_what_the_replica_works_on(workers: int) -> None:
    assert workers <= limit_after(serves(workers)) <= 2.5 * workers


def test_the_limit_never_leaves_its_bounds() -> None:
    assert limit_after(lambda n: 1.0, most=7) == 7


def test_a_replica_that_slows_down_for_good_gets_less_at_first() -> None:
    gradient = Gradient2(100)
    for _ in range(2000):
        gradient.sample(1.0, gradient.limit)
    before = gradient.limit
    for _ in range(2000):
        gradient.sample(20.0, gradient.limit)
    assert gradient.limit == 1 < before


def test_requests_that_fail_fast_say_nothing_of_a_replicas_speed() -> None:
    gradient = Gradient2(100)
    for _ in range(500):
        gradient.sample(serves(8)(gradient.limit), gradient.limit)
    before = gradient.limit
    for _ in range(5000):
        gradient.sample(0.001, gradient.limit, answered=False)
    for _ in range(500):
        gradient.sample(serves(8)(gradient.limit), gradient.limit)
    assert gradient.limit == pytest.approx(before, rel=0.5)


def test_requests_that_were_given_up_late_say_that_it_is_slow() -> None:
    gradient = Gradient2(100)
    for _ in range(500):
        gradient.sample(1.0, gradient.limit)
    before = gradient.limit
    for _ in range(500):
        gradient.sample(20.0, gradient.limit, answered=False)
    assert gradient.limit < before / 2


def test_a_replica_that_is_hardly_used_keeps_its_limit() -> None:
    gradient = Gradient2(100)
    before = gradient.limit
    for _ in range(1000):
        gradient.sample(0.1, 1)
    assert gradient.limit == before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back")
def test_memory_of_a_burst_goes_back_to_the_system() -> None:
    pieces = [b"x" * (40_000 + n % 7 * 1000) for n in range(2500)]
    kept = pieces[::50]
    full = resident_bytes()
    del pieces
    shrink_heap()
    after = resident_bytes()
    assert full is not None and after is not None
    assert full - after > 50_000_000, f"{len(kept)} pieces hold the rest"
