"""What control makes of the ejections that workers tell."""

from __future__ import annotations

from fleet.clock import SystemClock
from fleet.model import Event
from fleet.wire import Ejected, Returned
from headrace.ejections import Ejections
from tests.unit.headrace.fakes import NOW, ejection, replica

ONE, TWO = replica("support-v1-1", "v1"), replica("support-v1-2", "v1")
OUT = Ejected(replica=ONE.name, rule="failures", reason="5 failures in a row", seconds=30)
BACK = Returned(replica=ONE.name, reason="its time is over")


class Still(SystemClock):
    def wall(self) -> float:
        return NOW


class Told:
    """Ejections with two replicas, and the events that came of them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ejections = Ejections(Still(), {ONE.name: ONE, TWO.name: TWO}.get, self.events.append)

    def heard(self) -> list[tuple[str, str, str]]:
        return [(e.kind, e.replica, e.message) for e in self.events]


def test_an_ejection_is_an_event_and_shows_until_the_return() -> None:
    told = Told()
    told.ejections.ejected(0, OUT)
    assert told.ejections.now([ONE, TWO]) == (ejection(0),)
    told.ejections.returned(0, BACK)
    assert told.ejections.now([ONE, TWO]) == ()
    assert told.heard() == [
        ("replica.ejected", ONE.name, "5 failures in a row; for 30s by worker 0"),
        ("replica.returned", ONE.name, "its time is over, in worker 0"),
    ]


def test_workers_eject_each_for_itself_and_all_are_counted() -> None:
    told = Told()
    for worker in (0, 1):
        told.ejections.ejected(worker, OUT)
    told.ejections.returned(0, BACK)
    assert told.ejections.now([ONE]) == (ejection(1),)
    assert told.ejections.counts("support", "v1") == {"failures": 2}
    assert told.ejections.counts("support", "v2") == {}


def test_a_worker_that_dies_has_ejected_nothing() -> None:
    told = Told()
    for worker in (0, 1):
        told.ejections.ejected(worker, OUT)
    told.ejections.worker_died(0)
    assert told.ejections.now([ONE]) == (ejection(1),)


def test_a_replica_that_is_gone_is_not_out_any_more() -> None:
    told = Told()
    told.ejections.ejected(0, OUT)
    told.ejections.replica_gone(ONE.name)
    assert told.ejections.now([ONE]) == ()
    told.ejections.returned(0, BACK)
    assert len(told.events) == 1


def test_nobody_is_told_of_replicas_unknown() -> None:
    told = Told()
    told.ejections.ejected(0, Ejected(replica="x", rule="failures", reason="", seconds=1))
    assert told.events == [] and told.ejections.counts("support", "v1") == {}
