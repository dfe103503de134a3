from __future__ import annotations

from random import Random

import pytest

from fleet.wire import TriesEntry
from router.http.head import parse_head
from router.http.reply import parse_reply
from router.retry import Cause, allowed, asks_again, backoff

HOST = (b"Host", b"h")
KEYED = (b"Idempotency-Key", b"7")
OPTED = TriesEntry(idempotency_key=True)

CASES = {
    "a lost GET": (Cause.LOST, b"GET", False, TriesEntry(), 0, True),
    "a lost POST": (Cause.LOST, b"POST", False, TriesEntry(), 0, False),
    "a lost POST with a key that nobody allowed": (
        Cause.LOST, b"POST", True, TriesEntry(), 0, False),
    "a lost POST with a key": (Cause.LOST, b"POST", True, OPTED, 0, True),
    "a lost POST without a key where keys are allowed": (
        Cause.LOST, b"POST", False, OPTED, 0, False),
    "a lost PATCH": (Cause.LOST, b"PATCH", False, TriesEntry(), 0, False),
    "a POST that was not begun": (Cause.DECLINED, b"POST", False, TriesEntry(), 0, True),
    "a POST to one that is busy": (Cause.BUSY, b"POST", False, TriesEntry(), 0, False),
    "a PUT to one that is busy": (Cause.BUSY, b"PUT", False, TriesEntry(), 0, True),
    "a GET without a reply in time": (Cause.UNFIT, b"GET", False, TriesEntry(), 0, True),
    "a POST without a connection": (Cause.CONNECT, b"POST", False, TriesEntry(), 99, True),
    "the last repeat": (Cause.LOST, b"GET", False, TriesEntry(), 2, True),
    "one repeat too many": (Cause.LOST, b"GET", False, TriesEntry(), 3, False),
    "no repeats wanted": (Cause.DECLINED, b"GET", False, TriesEntry(attempts=0), 0, False),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_repeated(case: tuple[Cause, bytes, bool, TriesEntry, int, bool]) -> None:
    cause, method, keyed, rules, made, expected = case
    head = parse_head(method, b"/", 1, (HOST, KEYED) if keyed else (HOST,))
    assert allowed(cause, head, rules, made) is expected


REPLIES = {
    "425": (425, (), Cause.DECLINED),
    "503 that says nothing": (503, (), None),
    "503 with the mark": (503, ((b"X-Headrace-Retry", b"true"),), Cause.DECLINED),
    "503 with the mark off": (503, ((b"X-Headrace-Retry", b"false"),), None),
    "503 with Retry-After 0": (503, ((b"Retry-After", b"0"),), Cause.BUSY),
    "503 with both": (
        503, ((b"Retry-After", b"0"), (b"x-headrace-retry", b"TRUE")), Cause.DECLINED),
    "503 with a later Retry-After": (503, ((b"Retry-After", b"10"),), None),
    "500 with the mark": (500, ((b"X-Headrace-Retry", b"true"),), None),
    "429 with Retry-After 0": (429, ((b"Retry-After", b"0"),), None),
}  # fmt: skip


@pytest.mark.parametrize("case", REPLIES.values(), ids=REPLIES)
def test_asked_again_by(
    case: tuple[int, tuple[tuple[bytes, bytes], ...], Cause | None],
) -> None:
    status, fields, expected = case
    assert asks_again(parse_reply(status, 1, fields, b"GET")) is expected


def test_the_backoff_doubles_up_to_ten_times_and_is_drawn_below_it() -> None:
    rules = TriesEntry(backoff=0.1)
    random = Random(7)
    for made, longest in enumerate((0.1, 0.2, 0.4, 0.8, 1.0, 1.0)):
        drawn = [backoff(rules, made, random) for _ in range(500)]
        assert 0 <= min(drawn) < 0.1 * longest
        assert 0.9 * longest < max(drawn) <= longest
