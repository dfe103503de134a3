"""What is read from replies for the balancer: failures, reported load."""

from __future__ import annotations

import pytest

from fleet.wire import BalanceEntry
from router.http.reply import ReplyHead, parse_reply
from router.observer import Observer, Reports
from router.pool import Replica, Version
from tests.unit.router.kit import House, house, replica_entry


class Learned:
    """A learner that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []

    def pick(self, version: Version, key: bytes | None) -> Replica:
        return version.free[0]

    def replied(self, replica: Replica, seconds: float) -> None:
        self.told.append(("replied", seconds))

    def silent(self, replica: Replica, seconds: float) -> None:
        self.told.append(("silent", seconds))

    def failed(self, replica: Replica, retry_after: float) -> None:
        self.told.append(("failed", retry_after))


def reply(status: int, *fields: tuple[bytes, bytes]) -> ReplyHead:
    return parse_reply(status, 1, fields, b"GET")


def a_replica() -> tuple[House, Replica]:
    made = house(replica_entry(0, slots=100))
    return made, made.version().replicas["r0"]


REPLIES: dict[str, tuple[ReplyHead, tuple[str, float]]] = {
    "200": (reply(200), ("replied", 0.5)),
    "404": (reply(404), ("replied", 0.5)),
    "500": (reply(500), ("failed", 0.0)),
    "503 and when to come back": (reply(503, (b"Retry-After", b"7")), ("failed", 7.0)),
    "503 and a date": (
        reply(503, (b"Retry-After", b"Fri, 31 Dec 1999 23:59:59 GMT")),
        ("failed", 0.0),
    ),
    "429 and when to come back": (reply(429, (b"retry-after", b"3")), ("failed", 3.0)),
    "429 alone": (reply(429), ("replied", 0.5)),
}


@pytest.mark.parametrize(("head", "told"), REPLIES.values(), ids=REPLIES)
def test_a_learner_is_told_of(head: ReplyHead, told: tuple[str, float]) -> None:
    learner = Learned()
    observer = Observer(learner, BalanceEntry(), Reports(), lambda: 0.0)
    observer.replied(a_replica()[1], head, 0.5)
    assert learner.told == [told]


REPORTS: dict[str, tuple[list[tuple[bytes, bytes]], float]] = {
    "a number": ([(b"X-Load", b"7")], 5.0),
    "a fraction": ([(b"x-load", b"3.5")], 1.5),
    "a number and more": ([(b"X-Load", b"4; queue=2")], 2.0),
    "what is in flight here alone": ([(b"X-Load", b"1")], 0.0),
    "no number": ([(b"X-Load", b"much")], 0.0),
    "a negative number": ([(b"X-Load", b"-4")], 0.0),
    "nothing": ([(b"X-Load", b"")], 0.0),
    "another field": ([(b"X-Load-Unit", b"9")], 0.0),
    "no field": ([], 0.0),
}


@pytest.mark.parametrize(("fields", "elsewhere"), REPORTS.values(), ids=REPORTS)
def test_a_report_of(fields: list[tuple[bytes, bytes]], elsewhere: float) -> None:
    _, replica = a_replica()
    replica.in_flight = 2
    head = reply(200, (b"A", b"1"), *fields, (b"Z", b"2"))
    settings = BalanceEntry(load_header="X-Load")
    Observer(None, settings, Reports(), lambda: 0.0).replied(replica, head, 0.5)
    assert replica.elsewhere == elsewhere
    kept = [name for name, _ in fields if name.lower() != b"x-load"]
    names = [line.split(b":")[0] for line in head.lines.splitlines()]
    assert names == [b"A", *kept, b"Z"]


def test_a_report_is_in_requests_and_shown_if_asked_for() -> None:
    _, replica = a_replica()
    settings = BalanceEntry(load_header="X-Tokens", load_per_request=2000.0, load_shown=True)
    head = reply(200, (b"X-Tokens", b"9000"))
    Observer(None, settings, Reports(), lambda: 0.0).replied(replica, head, 0.5)
    assert replica.load == 4.5
    assert head.lines == b"X-Tokens: 9000\r\n"


def test_a_report_goes_stale() -> None:
    made, replica = a_replica()
    reports = Reports()
    reports.report(replica, 9.0, until=5.0)
    assert made.version().uneven
    assert reports.expire(4.9) == []
    assert replica.elsewhere == 9.0
    assert reports.expire(5.0) == [replica]
    assert replica.elsewhere == 0.0
    assert reports.expire(6.0) == []
