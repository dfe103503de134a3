"""What a leader tells of members with other pools than its own."""

from __future__ import annotations

from scaler.cluster.differences import SETTLED, Differences
from scaler.cluster.messages import Report


def reports(**pools: str) -> dict[str, Report]:
    return {
        name: Report(start="1", beat=1, pools={pool: {} for pool in of.split()})
        for name, of in pools.items()
    }


def test_the_same_pools_are_never_told() -> None:
    heard = Differences()
    assert not any(heard.hear({"p"}, reports(a="p", b="p"), now) for now in range(100))


def test_pools_that_only_a_member_has_are_told_once_when_they_last() -> None:
    heard = Differences()
    told = {now: heard.hear({"p"}, reports(a="p", b="p q"), now) for now in range(100)}
    assert {now: dict(of) for now, of in told.items() if of} == {int(SETTLED): {"b": {"q"}}}


def test_a_file_edited_soon_enough_is_not_told() -> None:
    heard = Differences()
    assert not heard.hear({"p"}, reports(b="p q"), 0.0)
    assert not heard.hear({"p", "q"}, reports(b="p q"), SETTLED - 1)
    assert not heard.hear({"p", "q"}, reports(b="p q"), SETTLED * 3)


def test_another_difference_is_told_again() -> None:
    heard = Differences()
    for now in (0.0, SETTLED):
        heard.hear({"p"}, reports(b="q"), now)
    assert not heard.hear({"p"}, reports(b="q r"), SETTLED + 1)
    assert heard.hear({"p"}, reports(b="q r"), 2 * SETTLED + 1) == {"b": {"q", "r"}}


def test_one_that_was_mended_and_broken_again_is_told_again() -> None:
    heard = Differences()
    for at, pools in ((0.0, "q"), (30.0, "q"), (40.0, "p"), (80.0, "p"), (90.0, "q")):
        heard.hear({"p"}, reports(b=pools), at)
    assert heard.hear({"p"}, reports(b="q"), 120.0) == {"b": {"q"}}
