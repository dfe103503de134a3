"""The sum over members: it only grows, whoever comes, restarts or goes."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from scaler.cluster.messages import Report, VersionReport
from scaler.cluster.view import ClusterView, summed
from scaler.members import Counts
from tests.unit.scaler_policy.scaler_kit import totals

SILENCE = 3.0


def report(
    beat: int, *, started: int = 0, start: str = "x", ready: int = 1, **gauges: Any
) -> Report:
    """Of one version; `started` requests so far."""
    seen = replace(totals(**gauges), started=started)
    return Report(
        start=start, beat=beat, pools={"p": {"v1": VersionReport(seen, Counts(ready=ready))}}
    )


def started(view: ClusterView) -> int:
    found = view.totals("p", "v1")
    assert found is not None
    return found.started


def test_counters_begin_at_zero_and_add_up() -> None:
    view = ClusterView(SILENCE)
    view.hear({"a": report(1, started=1000), "b": report(1, started=5)}, 0.0)
    assert started(view) == 0
    view.hear({"a": report(2, started=1010), "b": report(2, started=7)}, 1.0)
    assert started(view) == 12


def test_gauges_and_replicas_are_those_of_now() -> None:
    view = ClusterView(SILENCE)
    view.hear({"a": report(1, in_flight=3, ready=2), "b": report(1, in_flight=4, queued=1)}, 0.0)
    found = view.totals("p", "v1")
    assert found is not None
    assert (found.in_flight, found.queued_now) == (7, 1)
    assert view.counts("p", "v1").ready == 3
    assert view.queued() == {"p"}


def test_a_member_that_goes_leaves_what_it_counted_and_takes_what_it_held() -> None:
    view = ClusterView(SILENCE)
    view.hear({"a": report(1), "b": report(1)}, 0.0)
    view.hear({"a": report(2, started=3), "b": report(2, started=9, in_flight=5)}, 1.0)
    assert view.hear({"a": report(3, started=4)}, 2.0) == ["b"]
    found = view.totals("p", "v1")
    assert found is not None
    assert (found.started, found.in_flight) == (13, 0)
    assert view.members == ("a",)
    assert view.counts("p", "v1").ready == 1


def test_a_member_that_joins_with_a_long_past_is_no_burst() -> None:
    view = ClusterView(SILENCE)
    view.hear({"a": report(1)}, 0.0)
    view.hear({"a": report(2, started=3), "b": report(7, started=10**6)}, 1.0)
    assert started(view) == 3


def test_a_restart_counts_on_from_where_it_was() -> None:
    view = ClusterView(SILENCE)
    view.hear({"a": report(1)}, 0.0)
    view.hear({"a": report(2, started=8)}, 1.0)
    view.hear({"a": report(1, start="y", started=0)}, 2.0)
    assert started(view) == 8
    view.hear({"a": report(2, start="y", started=2)}, 3.0)
    assert started(view) == 10


def test_a_version_that_comes_back_from_zero_counts_on() -> None:
    view = ClusterView(SILENCE)
    view.hear({"a": report(1, started=50)}, 0.0)
    view.hear({"a": report(2, started=4)}, 1.0)
    assert started(view) == 0
    view.hear({"a": report(3, started=6)}, 2.0)
    assert started(view) == 2


def test_a_member_is_gone_once_its_report_has_not_changed_for_long_enough() -> None:
    view = ClusterView(SILENCE)
    silent = {"b": report(1)}
    for second in range(3):
        assert view.hear({"a": report(second), **silent}, float(second)) == []
    assert view.hear({"a": report(3), **silent}, 3.0) == ["b"]


def test_a_leader_that_was_held_up_hears_first_and_judges_then() -> None:
    view = ClusterView(SILENCE)
    view.hear({"a": report(1), "b": report(1)}, 0.0)
    assert view.hear({"a": report(2), "b": report(60)}, 60.0) == []


def test_a_version_that_nobody_has_is_not_known() -> None:
    view = ClusterView(SILENCE)
    view.hear({"a": report(1)}, 0.0)
    assert view.totals("p", "v2") is None
    assert view.parts("p", "v2", {}, lately=60.0, now=0.0) == []


def test_parts_hold_what_was_planned_or_what_is_there() -> None:
    view = ClusterView(SILENCE)
    view.hear({"a": report(1, ready=2), "b": report(1, ready=3, in_flight=4)}, 0.0)
    a, b = view.parts("p", "v1", {"a": 5}, lately=60.0, now=10.0)
    assert (a.member, a.held, a.demand, a.busy) == ("a", 5, 0.0, False)
    assert (b.member, b.held, b.demand, b.busy) == ("b", 3, 4.0, True)


def test_demand_rises_at_once_and_falls_slowly_and_a_member_is_busy_for_a_while_after() -> None:
    view = ClusterView(SILENCE)
    view.hear({"a": report(1, in_flight=2)}, 0.0)
    view.hear({"a": report(2, in_flight=8)}, 0.0)
    view.hear({"a": report(3)}, 1.0)
    (part,) = view.parts("p", "v1", {}, lately=60.0, now=1.0)
    assert 7.5 < part.demand < 8
    assert part.busy
    (part,) = view.parts("p", "v1", {}, lately=60.0, now=61.0)
    assert not part.busy


def test_slots_of_a_replica_are_the_mean_over_those_that_are_ready() -> None:
    def with_slots(ready: int, slots: int | None) -> Report:
        of = VersionReport(totals(), Counts(ready=ready), slots)
        return Report(start="x", beat=1, pools={"p": {"v1": of}})

    view = ClusterView(SILENCE)
    view.hear({"a": with_slots(0, None)}, 0.0)
    assert view.slots_per_replica("p", "v1") is None
    view.hear({"a": with_slots(0, None), "b": with_slots(3, 4), "c": with_slots(1, 8)}, 0.0)
    assert view.slots_per_replica("p", "v1") == 5


def test_replicas_add_up_by_state() -> None:
    one = Counts(ready=1, starting=2, unhealthy=3, draining=4)
    assert summed([one, one]) == Counts(ready=2, starting=4, unhealthy=6, draining=8)
    assert summed([]) == Counts()
