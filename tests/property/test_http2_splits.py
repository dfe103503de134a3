"""However the bytes of a connection are cut within a turn of the loop, and whichever frames follow
one another, the outcome is the same, and the books are right at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hyperframe.frame import PingFrame, PriorityFrame, SettingsFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.http2_kit import GET, POST, Client, but, data, raw, reset, window
from tests.protocol.support import Rig, replica, version

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STREAMS = st.sampled_from([1, 3, 5, 7])

Step = Callable[[Client], bytes]


def of(make: Callable[[Client], object]) -> Step:
    def step(client: Client) -> bytes:
        frame = make(client)
        return frame if isinstance(frame, bytes) else frame.serialize()  # type: ignore[attr-defined]

    return step


FIELDS = st.sampled_from(
    [
        GET, POST, but(GET, method=b"HEAD"), but(GET, path=None), but(GET, scheme=b"ftp"),
        (*POST, (b"content-length", b"4")), (*GET, (b"connection", b"close")),
        but(GET, method=b"CONNECT"), ((b"trailer", b"1"),),
    ]
)  # fmt: skip

STEPS = st.one_of(
    st.builds(
        lambda n, fields, end: of(lambda c: c.head(n, fields, end=end)),
        STREAMS, FIELDS, st.booleans(),
    ),
    st.builds(
        lambda n, size, end: of(lambda c: data(n, b"x" * size, end=end)),
        STREAMS, st.integers(0, 6), st.booleans(),
    ),
    st.builds(lambda n: of(lambda c: reset(n)), STREAMS),
    st.builds(lambda n, size: of(lambda c: window(n, size)), STREAMS | st.just(0),
              st.sampled_from([0, 1, 1000, (1 << 31) - 1])),
    st.builds(lambda v: of(lambda c: SettingsFrame(0, settings={4: v})), st.integers(0, 100_000)),
    st.builds(
        lambda kind, payload, flags, n: of(lambda c: raw(kind, payload, flags, n)),
        st.integers(0, 11), st.binary(max_size=20), st.integers(0, 255), st.integers(0, 6),
    ),
    st.just(of(lambda c: PingFrame(0, opaque_data=b"12345678"))),
    st.just(of(lambda c: PriorityFrame(9, depends_on=1, stream_weight=1))),
)  # fmt: skip


def outcome(steps: Sequence[Step], cut: Callable[[bytes], Sequence[bytes]]) -> object:
    """What became of every stream, of the connection, and what replicas have seen."""
    with pytest.MonkeyPatch.context() as patch:
        rig = Rig(patch)
        rig.members(version("v1", replica("a-1", slots=10)))
        client = Client(rig)
        for piece in cut(b"".join(step(client) for step in steps)):
            client.wire.protocol.data_received(piece)  # type: ignore[union-attr]
        rig.turn()
        seen = [upstream.written.partition(b"\r\n")[0] for upstream in rig.upstreams]
        for upstream in rig.upstreams:
            if not upstream.closed:
                upstream.send(OK)
        client.take()
        replies = {
            n: (reply.status, reply.body.partition(b"request_id")[0], reply.ended, reply.reset)
            for n, reply in client.streams.items()
            if reply.heads or reply.reset is not None
        }
        rig.end()
        return replies, client.goaway, seen, sorted(line["outcome"] for line in rig.log)


@settings(deadline=None, max_examples=150)
@given(steps=st.lists(STEPS, max_size=12), places=st.lists(st.integers(0, 400), max_size=6))
async def test_cuts_change_nothing(steps: list[Step], places: list[int]) -> None:
    def cut(whole: bytes) -> Sequence[bytes]:
        ends = [0, *sorted(p for p in places if p < len(whole)), len(whole)]
        return [whole[a:b] for a, b in pairwise(ends) if a < b]

    def bytewise(whole: bytes) -> Sequence[bytes]:
        return [whole[i : i + 1] for i in range(len(whole))]

    expected = outcome(steps, lambda whole: [whole])
    assert outcome(steps, cut) == expected
    assert outcome(steps, bytewise) == expected


@settings(deadline=None, max_examples=150)
@given(garbage=st.binary(max_size=200))
async def test_garbage_is_the_same_in_any_pieces(garbage: bytes) -> None:
    def step(client: Client) -> bytes:
        return garbage

    whole = outcome([step], lambda data: [data])
    assert outcome([step], lambda data: [data[i : i + 1] for i in range(len(data))]) == whole
