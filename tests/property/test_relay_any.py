"""Whatever the framing and the pieces, bodies arrive byte for byte, both ways."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.protocol.messages import parse
from tests.protocol.support import Rig

body = st.binary(max_size=300)
pieces = st.lists(st.integers(1, 120), min_size=1, max_size=6)
token = st.text("abcXYZ09-_", min_size=1, max_size=8).map(lambda t: f"X-{t}".encode())
value = st.binary(max_size=20).map(lambda b: bytes(c for c in b if 32 < c < 127 or c > 160))
field = st.tuples(token, value)


@st.composite
def message(
    draw: st.DrawFn, start: bytes, until_close: bool
) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
    """A message as bytes, its body, and its end-to-end fields."""
    content = draw(body)
    fields = draw(st.lists(field, max_size=4))
    lines = [start, *(n + b": " + v for n, v in fields)]
    framing = draw(st.sampled_from(["length", "chunks", *(["close"] if until_close else [])]))
    if framing == "length":
        lines.insert(draw(st.integers(1, len(lines))), b"Content-Length: %d" % len(content))
        raw = content
    elif framing == "chunks":
        lines.insert(draw(st.integers(1, len(lines))), b"Transfer-Encoding: chunked")
        raw, rest = b"", content
        while rest:
            size = draw(st.integers(1, len(rest)))
            extension = draw(st.sampled_from([b"", b";a=b", b';q="x"']))
            raw += b"%x%b\r\n%b\r\n" % (size, extension, rest[:size])
            rest = rest[size:]
        raw += b"0\r\n" + draw(st.sampled_from([b"", b"Trailer: x\r\n"])) + b"\r\n"
    else:
        raw = content
    return b"\r\n".join([*lines, b"", raw]), content, fields


def cutter(sizes: Sequence[int]) -> object:
    def cut(_label: str, data: bytes) -> Sequence[bytes]:
        out, at, turn = [], 0, 0
        while at < len(data):
            size = sizes[turn % len(sizes)]
            out.append(data[at : at + size])
            at, turn = at + size, turn + 1
        return out

    return cut


requests = st.lists(
    st.tuples(
        message(b"POST /x HTTP/1.1\r\nHost: h", until_close=False),
        message(b"HTTP/1.1 200 OK", until_close=True),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests, pieces, st.booleans())
async def test_requests_and_replies_arrive_byte_for_byte(
    exchanges: list[tuple[tuple[bytes, bytes, list[tuple[bytes, bytes]]], ...]],
    sizes: list[int],
    pipelined: bool,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        rig = Rig(patch, cutter(sizes))  # type: ignore[arg-type]
        client = rig.client()
        if pipelined:
            client.send(b"".join(request[0] for request, _ in exchanges))
        for request, reply in exchanges:
            if not pipelined:
                client.send(request[0])
            got = rig.replica.message()
            assert (got.body, got.whole) == (request[1], True)
            assert [f for f in got.fields if f in request[2]] == request[2]
            used = rig.replica
            used.send(reply[0])
            head = reply[0].partition(b"\r\n\r\n")[0]
            if b"Content-Length" not in head and b"Transfer-Encoding" not in head:
                used.hang_up()
        replies = parse(client.take())
        assert [(m.body, m.whole) for m in replies] == [(r[1], True) for _, r in exchanges]
        for message_, (_, reply) in zip(replies, exchanges, strict=True):
            assert [f for f in message_.fields if f in reply[2]] == reply[2]
        rig.end()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=6))
async def test_no_bytes_of_a_client_upset_the_books(chunks: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        rig = Rig(patch)
        client = rig.client()
        for chunk in chunks:
            client.send(chunk)
        rig.end()


GRAMMAR = st.sampled_from(
    [b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.0\r\n", b"HEAD / HTTP/1.1\r\n", b"Host: h\r\n",
     b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n",
     b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"Upgrade: x\r\n", b"\r\n", b"\n",
     b"3\r\nabc\r\n", b"0\r\n\r\n", b"abc", b"zz\r\n",
     b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 No\r\n"]
)  # fmt: skip
STEPS = st.one_of(
    st.tuples(st.just("client"), st.lists(GRAMMAR, min_size=1, max_size=4).map(b"".join)),
    st.tuples(st.just("replica"), st.lists(GRAMMAR, min_size=1, max_size=4).map(b"".join)),
    st.tuples(
        st.sampled_from(
            ["client eof", "client reset", "replica eof", "replica reset", "new client",
             "clog client", "unclog client", "clog replica", "unclog replica", "reload", "drain"]
        ),
        st.just(b""),
    ),
    st.tuples(st.just("time"), st.integers(1, 80).map(lambda n: b"x" * n)),
)  # fmt: skip
SANE = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=14))
async def test_no_turn_of_events_upsets_the_books(steps: list[tuple[str, bytes]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        rig = Rig(patch)
        client = rig.client()
        client.send(SANE)
        for what, data in steps:
            act(rig, what, data)
            rig.check()
        rig.end()


def act(rig: Rig, what: str, data: bytes) -> None:
    client = rig.clients[-1]
    replica = rig.upstreams[-1] if rig.upstreams else None
    side = replica if "replica" in what else client
    if what == "time":
        rig.clock.now += len(data)
        rig.plane.tick()
        rig.turn()
    elif what == "new client":
        rig.client().send(SANE)
    elif what == "reload":
        rig.configure()
    elif what == "drain":
        for downstream in list(rig.plane.downstreams):
            downstream.drain()
        rig.turn()
    elif side is None or side.lost:
        return
    elif what in ("client", "replica"):
        side.send(data)
    elif what.endswith("eof"):
        side.hang_up()
    elif what.endswith("reset"):
        side.reset()
    else:
        side.clog(what.startswith("clog"))
