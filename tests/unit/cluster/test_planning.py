"""From one decision to every member's share."""

from __future__ import annotations

import pytest

from scaler.budgets import Taken
from scaler.cluster.messages import Plan, Report, VersionReport, decode_plan, decode_report, encode
from scaler.cluster.planning import MOVE_EVERY, Bounds, Planner, bounds_of, grown
from scaler.cluster.view import ClusterView
from scaler.members import Counts
from tests.unit.scaler_policy.scaler_kit import scale, totals

MOST = 10


def bounds(pool: str) -> Bounds:
    return Bounds(most=MOST, lately=60.0)


def view(**in_flight: int) -> ClusterView:
    """Members with pool p of version v1, by what they have in flight."""
    made = ClusterView(3.0)
    made.hear(
        {
            name: Report(
                start="x",
                beat=1,
                pools={"p": {"v1": VersionReport(totals(in_flight=busy), Counts())}},
            )
            for name, busy in in_flight.items()
        },
        0.0,
    )
    return made


def shares(plan: Plan, pool: str = "p") -> dict[str, int]:
    return {member: of[pool]["v1"] for member, of in plan.shares.items() if pool in of}


def test_each_member_gets_its_share_and_its_part_of_the_room() -> None:
    plan = Planner(7, None).plan({"p": {"v1": 5}}, view(a=0, b=0), bounds, 0.0)
    assert (plan.token, plan.members) == (7, ("a", "b"))
    assert shares(plan) == {"a": 3, "b": 2}
    assert plan.room == {"p": 2}


def test_shares_and_room_together_never_exceed_the_maximum() -> None:
    for total in range(MOST + 1):
        plan = Planner(1, None).plan({"p": {"v1": total}}, view(a=1, b=1, c=1), bounds, 0.0)
        assert sum(shares(plan).values()) + 3 * plan.room["p"] <= MOST


def test_a_new_leader_goes_on_from_the_shares_of_the_one_before() -> None:
    before = Planner(1, None).plan({"p": {"v1": 4}}, view(a=9, b=0), bounds, 0.0)
    assert shares(before) == {"a": 4, "b": 0}
    planner = Planner(2, before)
    undecided = planner.plan({}, view(a=0, b=9), bounds, 0.0)
    assert (undecided.token, shares(undecided)) == (2, {"a": 4, "b": 0})
    assert shares(planner.plan({"p": {"v1": 4}}, view(a=0, b=9), bounds, 0.0)) == {"a": 3, "b": 1}


def test_the_share_of_a_member_that_has_gone_is_dealt_to_the_others() -> None:
    planner = Planner(1, None)
    planner.plan({"p": {"v1": 6}}, view(a=1, b=1, c=1), bounds, 0.0)
    assert shares(planner.plan({"p": {"v1": 6}}, view(a=1, c=1), bounds, 0.0)) == {"a": 3, "c": 3}


def test_a_member_without_the_pool_gets_none_of_it() -> None:
    mixed = view(a=0)
    mixed.hear(
        {
            "a": Report(start="x", beat=2, pools={"p": {"v1": VersionReport(totals(), Counts())}}),
            "b": Report(start="x", beat=1, pools={}),
        },
        1.0,
    )
    plan = Planner(1, None).plan({"p": {"v1": 2}}, mixed, bounds, 1.0)
    assert shares(plan) == {"a": 2}
    assert plan.members == ("a", "b")


def test_replicas_move_to_the_traffic_one_in_a_while() -> None:
    planner, there = Planner(1, None), view(a=9, b=9)
    planner.plan({"p": {"v1": 6}}, there, bounds, 0.0)
    moved = view(a=9, b=0)
    assert shares(planner.plan({"p": {"v1": 6}}, moved, bounds, 1.0)) == {"a": 3, "b": 3}
    assert shares(planner.plan({"p": {"v1": 6}}, moved, bounds, MOVE_EVERY)) == {"a": 4, "b": 2}
    later = planner.plan({"p": {"v1": 6}}, moved, bounds, MOVE_EVERY + 1)
    assert shares(later) == {"a": 4, "b": 2}


def of_budget(pool: str) -> Bounds:
    return Bounds(most=MOST, lately=60.0, budgeted=True)


def test_of_a_budget_no_member_gets_more_than_was_decided() -> None:
    there = view(a=9, b=9, c=9)
    plan = Planner(1, None).plan({"p": {"v1": 2}}, there, of_budget, 0.0)
    assert (shares(plan), plan.room) == ({"a": 1, "b": 1, "c": 0}, {"p": 0})


def test_of_a_budget_a_replica_moves_in_two_steps() -> None:
    planner, there = Planner(1, None), view(a=9, b=9)

    def heard(beat: int, a: Counts, b: Counts, followed: int, now: float) -> dict[str, int]:
        of = {"a": VersionReport(totals(9), a), "b": VersionReport(totals(), b)}
        reports = {
            name: Report(
                start="x", beat=beat, pools={"p": {"v1": of[name]}}, followed=(1, followed)
            )
            for name in of
        }
        there.hear(reports, now)
        return shares(planner.plan({"p": {"v1": 6}}, there, of_budget, now))

    three = Counts(ready=3)
    assert heard(2, Counts(), Counts(), 0, 0.0) == {"a": 3, "b": 3}
    assert heard(3, three, three, 1, 5 * MOVE_EVERY) == {"a": 3, "b": 2}
    assert heard(4, three, three, 1, 5 * MOVE_EVERY + 0.5) == {"a": 3, "b": 2}
    going = Counts(ready=2, draining=1)
    assert heard(5, three, going, 3, 5 * MOVE_EVERY + 1) == {"a": 3, "b": 2}
    assert heard(6, three, Counts(ready=2), 4, 5 * MOVE_EVERY + 1.5) == {"a": 4, "b": 2}


def test_growth_has_to_wait_for_what_is_taken() -> None:
    taken = {"a": Taken(standing=2, leaving=1), "b": Taken(standing=1)}
    assert grown({"a": 2, "b": 4}, taken, 6) == {"a": 2, "b": 3}
    assert grown({"a": 1, "b": 3}, taken, 4) == {"a": 1, "b": 1}
    assert grown({"a": 1, "b": 1}, taken, 2) == {"a": 1, "b": 1}


def test_bounds_come_from_the_settings_or_from_a_size_held_by_hand() -> None:
    assert bounds_of(scale(max=7, budget="gpu")) == Bounds(most=7, lately=60.0, budgeted=True)
    assert bounds_of(scale(max=7, stabilization="5s"), 3) == Bounds(most=3, lately=5.0)


def test_messages_survive_the_store() -> None:
    plan = Planner(7, None).plan({"p": {"v1": 5}}, view(a=0, b=0), bounds, 0.0)
    assert decode_plan(encode(plan)) == plan
    report = Report(start="x", beat=1, pools={"p": {"v1": VersionReport(totals(), Counts())}})
    assert decode_report(encode(report)) == report


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"token":"x"}'])
def test_what_is_no_message_counts_as_none(data: bytes) -> None:
    assert decode_plan(data) is None
    assert decode_report(data) is None
