"""Header blocks, budgets and frames of HTTP/2, without a connection."""

from __future__ import annotations

import pytest
from hpack import Decoder

from fleet.wire import LimitsEntry
from router.http2.errors import ConnectionFault
from router.http2.floods import BUDGETS, Spending
from router.http2.frames import PREFACE, FrameReader
from router.http2.hpack import LiteralEncoder
from router.http2.request import request_head

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
PING = b"\0\0\x08\6\0\0\0\0\0" + bytes(8)


@pytest.mark.parametrize("size", [0, 1, 14, 15, 126, 127, 128, 254, 255, 16_510, 16_511, 70_000])
def test_what_is_encoded_is_read_alike(size: int) -> None:
    fields = [
        (b":status", b"200"), (b"content-type", b"a" * size), (b"x" * max(1, size), b"b"),
        (b"www-authenticate", b""),
    ]  # fmt: skip
    encoder, decoder = LiteralEncoder(), Decoder(1 << 20)
    for _ in range(3):
        got = decoder.decode(encoder.encode(fields), raw=True)
        assert [(bytes(n), bytes(v)) for n, v in got] == fields
        assert decoder.header_table_size == 0


def spend(spending: Spending, kind: str, now: float, count: int) -> int:
    """How many of `count` frames at `now` are allowed."""
    for done in range(count):
        try:
            spending.spend(kind, now)
        except ConnectionFault:
            return done
    return count


@pytest.mark.parametrize("kind", BUDGETS)
def test_a_budget_is_spent_at_once_and_refilled_by_time(kind: str) -> None:
    budget = BUDGETS[kind]
    spending = Spending()
    assert spend(spending, kind, 100.0, 10_000) == budget.burst
    spending = Spending()
    assert spend(spending, kind, 100.0, int(budget.burst)) == budget.burst
    assert spend(spending, kind, 103.0, 10_000) == 3 * budget.rate
    spending = Spending()
    spend(spending, kind, 100.0, 1)
    assert spend(spending, kind, 1e6, 10_000) == budget.burst


def test_what_is_sent_to_a_client_refills_what_it_answers_with() -> None:
    spending = Spending()
    spend(spending, "window_update", 0.0, 1000)
    spending.sent += 5
    assert spend(spending, "window_update", 0.0, 10_000) == 50
    spend(spending, "settings", 0.0, 50)
    spending.sent += 5
    assert spend(spending, "settings", 0.0, 10) == 0


def test_a_reader_says_what_it_waits_for() -> None:
    reader = FrameReader(1000)
    assert list(reader.feed(PREFACE[:5])) == []
    assert reader.unfinished
    assert [f.kind for f in reader.feed(PREFACE[5:] + SETTINGS + PING[:7])] == [4]
    assert reader.unfinished
    assert [f.kind for f in reader.feed(PING[7:])] == [6]
    assert not reader.unfinished
    assert list(reader.feed(b"\0\0\x05\0\0\0\0\0\1abc")) == []
    assert not reader.unfinished, "a body has limits of its own"
    assert [f.payload for f in reader.feed(b"de")] == [b"abcde"]
    assert [f.kind for f in reader.feed(b"\0\0\1\1\0\0\0\0\1\x82")] == [1]
    assert (reader.unfinished, reader.in_block) == (True, True)


def test_a_websocket_is_asked_for_as_by_http_1() -> None:
    head = request_head(
        [
            (b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"https"),
            (b":path", b"/chat"), (b":authority", b"h"), (b"sec-websocket-key", b"forged"),
        ],
        ended=False,
        limits=LimitsEntry(header_size=1000, headers=10, target=100, body=10, connections=1),
        refuse_paths=False,
        websocket_key=lambda: b"nonce",
    )  # fmt: skip
    assert (head.websocket, head.method, head.target) == (True, b"GET", b"/chat")
    assert b"sec-websocket-key: nonce\r\n" in head.lines
    assert b"forged" not in head.lines
