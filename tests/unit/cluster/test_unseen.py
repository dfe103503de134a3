"""Replicas that may be there although no report shows them."""

from __future__ import annotations

import pytest

from scaler.budgets import Taken
from scaler.cluster.messages import Plan, Report, Stamp, VersionReport
from scaler.cluster.unseen import LOST_FOR, Unseen
from scaler.members import Counts
from tests.unit.scaler_policy.scaler_kit import totals

KEY = ("p", "v1")


def plan(number: int, token: int = 1, **shares: int) -> Plan:
    return Plan(
        token=token,
        number=number,
        members=tuple(shares),
        shares={name: {"p": {"v1": share}} for name, share in shares.items()},
        room={},
    )


def report(ready: int, followed: Stamp = (0, 0), draining: int = 0) -> Report:
    counts = Counts(ready=ready, draining=draining)
    pools = {"p": {"v1": VersionReport(totals(), counts)}}
    return Report(start="x", beat=1, pools=pools, followed=followed)


TAKEN = {
    "no plan is open": (2, 1, [], Taken(standing=2, leaving=1)),
    "more may have been started": (2, 0, [5], Taken(standing=5, leaving=0)),
    "fewer may drain": (3, 1, [1], Taken(standing=1, leaving=3)),
    "down and up again: new ones beside those that drain": (
        3,
        0,
        [1, 2],
        Taken(standing=2, leaving=2),
    ),
    "up and down again": (1, 0, [3, 1], Taken(standing=1, leaving=2)),
}


@pytest.mark.parametrize(("ready", "draining", "shares", "taken"), TAKEN.values(), ids=TAKEN)
def test_taken(ready: int, draining: int, shares: list[int], taken: Taken) -> None:
    unseen = Unseen(None, 0.0)
    for number, share in enumerate(shares, start=1):
        unseen.published(plan(number, a=share))
    assert unseen.taken("a", KEY, Counts(ready=ready, draining=draining)) == taken


def test_what_a_report_shows_is_no_longer_a_promise() -> None:
    unseen = Unseen(None, 0.0)
    unseen.published(plan(1, a=4))
    unseen.published(plan(2, a=2))
    unseen.heard("a", report(4, followed=(1, 1)))
    assert unseen.taken("a", KEY, Counts(ready=4)) == Taken(standing=2, leaving=2)
    unseen.heard("a", report(2, followed=(1, 2)))
    assert unseen.taken("a", KEY, Counts(ready=2)) == Taken(standing=2)


def test_a_new_term_begins_with_what_the_last_one_promised() -> None:
    unseen = Unseen(plan(9, a=4, b=2), 0.0)
    assert unseen.lost(KEY, 0.0) == 6
    unseen.heard("a", report(1, followed=(1, 8)))
    unseen.heard("b", report(2, followed=(1, 9)))
    assert unseen.lost(KEY, 0.0) == 0
    assert unseen.taken("a", KEY, Counts(ready=1)).whole == 4
    assert unseen.taken("b", KEY, Counts(ready=2)).whole == 2


def test_a_lost_member_keeps_its_part_for_a_time() -> None:
    unseen = Unseen(None, 0.0)
    unseen.published(plan(1, a=4))
    unseen.gone("a", report(2, draining=1), 10.0)
    assert unseen.lost(KEY, 10.0 + LOST_FOR - 1) == 5
    assert unseen.lost(KEY, 10.0 + LOST_FOR) == 0
    unseen.heard("a", report(5))
    assert unseen.lost(KEY, 11.0) == 0
    assert unseen.taken("a", KEY, Counts(ready=5)) == Taken(standing=5)
