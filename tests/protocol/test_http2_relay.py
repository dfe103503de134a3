"""HTTP/2 towards the client, HTTP/1.1 towards the replica: what passes, and how it is said."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes

from fleet.telemetry import slab as words
from fleet.telemetry.slab import worker_at
from tests.protocol.http2_kit import GET, POST, Client, but, data, reset
from tests.protocol.support import Rig, pool, replica, version

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_request_is_passed_on_and_its_reply_comes_back(rig: Rig) -> None:
    client = Client(rig)
    fields = (*POST, (b"content-type", b"text/plain"), (b"content-length", b"5"))
    client.request(1, but(fields, authority=b"Agents.example:8443"), b"hello")
    got = rig.replica.message()
    assert got.start == b"POST /x HTTP/1.1"
    assert (got.body, got.get(b"content-length")) == (b"hello", b"5")
    assert got.get(b"host") == b"Agents.example:8443"
    assert got.get(b"via") == b"2.0 headrace"
    assert got.get(b"x-forwarded-for") == b"192.0.2.7"
    assert got.get(b"x-forwarded-host") == b"Agents.example:8443"
    assert got.get(b"transfer-encoding") is None
    rig.replica.send(
        b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-Big: A \r\nKeep-Alive: timeout=5\r\n"
        b"Connection: X-Gone\r\nX-Gone: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nok"
    )
    reply = client.reply(1)
    assert (reply.status, reply.body, reply.ended, reply.reset) == (201, b"ok", True, None)
    names = [name for name, _ in reply.heads[0]]
    assert names.count(b"set-cookie") == 2
    assert not {b"keep-alive", b"connection", b"x-gone", b"transfer-encoding"} & set(names)
    assert reply.fields[b"x-big"] == b"A"
    assert reply.fields[b"content-length"] == b"2"
    assert reply.fields[b"x-served-by"] == b"agents/v1"
    assert reply.fields[b"x-request-id"] == got.get(b"x-request-id")
    (line,) = rig.logged()
    assert (line["protocol"], line["host"], line["path"]) == ("HTTP/2", "agents.example", "/x")
    assert (line["bytes_in"], line["bytes_out"], line["outcome"]) == (5, 2, "ok")
    assert rig.row[worker_at() + words.HTTP2_REQUESTS] == 1


async def test_a_body_of_unknown_length_is_chunked_for_the_replica(rig: Rig) -> None:
    client = Client(rig)
    client.send(client.head(1, POST, end=False), data(1, b"one"))
    client.send(data(1, b"two"), data(1, b"", end=True))
    got = rig.replica.message()
    assert (got.body, got.whole, got.get(b"transfer-encoding")) == (b"onetwo", True, b"chunked")
    rig.replica.send(CHUNKS + b"1\r\na\r\n")
    assert (client.reply(1).body, client.streams[1].ended) == (b"a", False)
    rig.replica.send(b"1\r\nb\r\n0\r\n\r\n")
    assert (client.reply(1).body, client.streams[1].ended) == (b"ab", True)


@pytest.mark.parametrize(
    ("method", "wire"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"),
        (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
async def test_a_reply_without_a_body_ends_with_its_head(
    rig: Rig, method: bytes, wire: bytes
) -> None:
    client = Client(rig)
    client.request(1, but(GET, method=method))
    rig.replica.send(wire)
    reply = client.reply(1)
    assert (reply.status, reply.body, reply.ended) == (int(wire[9:12]), b"", True)
    client.request(3)
    rig.replica.send(OK)
    assert client.reply(3).body == b"ok"
    assert len(rig.upstreams) == 1


async def test_interim_replies_are_passed_on(rig: Rig) -> None:
    client = Client(rig)
    fields = (*POST, (b"expect", b"100-continue"), (b"content-length", b"2"))
    client.send(client.head(1, fields, end=False))
    assert rig.replica.message().get(b"expect") == b"100-continue"
    rig.replica.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    rig.replica.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    client.send(data(1, b"hi", end=True))
    rig.replica.send(OK)
    reply = client.reply(1)
    assert [dict(head)[b":status"] for head in reply.heads] == [b"100", b"103", b"200"]
    assert dict(reply.heads[1])[b"link"] == b"</a>"
    assert reply.body == b"ok"


async def test_a_call_of_grpc_has_trailers_both_ways(rig: Rig) -> None:
    client = Client(rig)
    fields = (*POST, (b"content-type", b"application/grpc"), (b"te", b"trailers"))
    trailers = client.encoder.encode([(b"x-checksum", b"1"), (b"authorization", b"no")])
    client.send(client.head(1, fields, end=False), data(1, b"\0\0\0\0\2hi"))
    frame = client.head(1, ())
    frame.data = trailers
    client.send(frame)
    got = rig.replica.message()
    assert (got.get(b"te"), got.get(b"connection")) == (b"trailers", b"TE")
    assert got.trailers == ((b"x-checksum", b"1"),)
    assert got.body == b"\0\0\0\0\2hi"
    rig.replica.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/grpc\r\n"
        b"\r\n7\r\n\0\0\0\0\2ho\r\n0\r\nGrpc-Status: 0\r\ngrpc-message: done\r\n\r\n"
    )
    reply = client.reply(1)
    assert (reply.status, reply.body, reply.ended) == (200, b"\0\0\0\0\2ho", True)
    assert reply.trailers == [(b"grpc-status", b"0"), (b"grpc-message", b"done")]


async def test_cookies_in_pieces_are_one_field_for_the_replica(rig: Rig) -> None:
    rig.configure(pool(affinity_cookie="s"))
    client = Client(rig)
    client.request(1, (*GET, (b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"s=2")))
    got = rig.replica.message()
    assert [v for n, v in got.fields if n == b"cookie"] == [b"a=1; s=2"]
    rig.replica.send(OK)


async def test_host_stands_in_for_the_authority(rig: Rig) -> None:
    client = Client(rig)
    client.request(1, (*but(GET, authority=None), (b"host", b"h.example")))
    assert rig.replica.message().get(b"host") == b"h.example"
    rig.replica.send(OK)


async def test_paths_are_canonical_before_they_are_routed(rig: Rig) -> None:
    client = Client(rig)
    client.request(1, but(GET, path=b"/a/../b%2Fc?q=%20"))
    assert rig.replica.message().start == b"GET /b/c?q=%20 HTTP/1.1"
    rig.replica.send(OK)
    rig.configure(paths="refuse")
    assert client.request(3, but(GET, path=b"/a/../b")).status == 400
    assert client.streams[3].ended


async def test_what_a_client_says_of_itself_is_not_passed_on(rig: Rig) -> None:
    client = Client(rig)
    forged = (
        (b"x-forwarded-for", b"10.9.9.9"), (b"x-forwarded-proto", b"gopher"), (b"via", b"1.1 a"),
        (b"x-request-id", b"mine"), (b"x-forwarded-client-cert", b"Subject=root"),
        (b"forwarded", b"for=x"), (b"x_forwarded_for", b"1"),
    )  # fmt: skip
    client.request(1, (*GET, *forged))
    got = rig.replica.message()
    assert got.get(b"x-forwarded-for") == b"192.0.2.7"
    assert got.get(b"x-request-id") != b"mine"
    for name in (b"x-forwarded-client-cert", b"forwarded", b"x_forwarded_for"):
        assert got.get(name) is None
    assert [v for n, v in got.fields if n.lower() == b"via"] == [b"1.1 a", b"2.0 headrace"]
    rig.replica.send(OK)


async def test_an_early_reply_ends_the_upload(rig: Rig) -> None:
    client = Client(rig)
    client.send(client.head(1, POST, end=False), data(1, b"some"))
    rig.replica.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    reply = client.reply(1)
    assert (reply.status, reply.body, reply.ended) == (403, b"no", True)
    assert reply.reset == ErrorCodes.NO_ERROR
    assert rig.replica.closed
    client.send(data(1, b"was under way already", end=True))
    client.request(3)
    rig.replica.send(OK)
    assert client.reply(3).body == b"ok"


async def test_a_reply_that_breaks_off_is_not_taken_for_whole(rig: Rig) -> None:
    client = Client(rig)
    client.request(1)
    client.request(3)
    first, second = rig.upstreams
    first.send(CHUNKS + b"4\r\npart\r\n")
    first.reset()
    reply = client.reply(1)
    assert (reply.status, reply.body, reply.ended) == (200, b"part", False)
    assert reply.reset == ErrorCodes.INTERNAL_ERROR
    second.send(OK)
    assert (client.reply(3).body, client.goaway) == (b"ok", None)


async def test_refusals_are_replies(rig: Rig) -> None:
    rig.configure(routes=[], limits={"streams": 128})
    client = Client(rig)
    reply = client.request(1)
    assert (reply.status, reply.ended, reply.reset) == (404, True, None)
    assert b'"no_route"' in reply.body
    assert reply.fields[b"content-type"] == b"application/json"
    assert int(reply.fields[b"content-length"]) == len(reply.body)
    head = client.request(3, but(GET, method=b"HEAD"))
    assert (head.status, head.body, head.ended) == (404, b"", True)
    upload = client.reply(5)
    client.send(client.head(5, POST, end=False))
    upload = client.reply(5)
    assert (upload.status, upload.ended, upload.reset) == (404, True, ErrorCodes.NO_ERROR)


async def test_a_client_that_resets_its_stream_stops_its_replica_alone(rig: Rig) -> None:
    rig.members(version("v1", replica("a-1")))
    client = Client(rig)
    client.request(1)
    client.request(3)
    client.request(5)
    first, second = rig.upstreams
    client.send(reset(1))
    assert first.closed == "abort"
    assert rig.upstreams[2:], "the slot goes to the request that waits"
    second.send(OK)
    rig.replica.send(OK)
    assert [client.reply(n).body for n in (1, 3, 5)] == [b"", b"ok", b"ok"]
    assert rig.count(words.CLIENT_ABORTS) == 1
    client.request(7)
    rig.replica.send(CHUNKS + b"1\r\na\r\n")
    busy = rig.replica
    client.send(reset(7))
    assert busy.closed == "abort"
    assert client.goaway is None


async def test_a_lost_connection_stops_every_replica(rig: Rig) -> None:
    client = Client(rig)
    client.request(1)
    client.request(3)
    client.request(5)
    client.wire.hang_up()
    assert all(upstream.closed for upstream in rig.upstreams)
    assert rig.count(words.CLIENT_ABORTS) == 3


async def test_requests_are_tried_again_as_ever(rig: Rig) -> None:
    rig.dialling = "manual"
    rig.members(version("v1", replica("a-1"), replica("a-2")))
    client = Client(rig)
    client.request(1)
    rig.dials.popleft().refuse()
    rig.dials.popleft().answer()
    rig.replica.send(OK)
    assert client.reply(1).body == b"ok"


# websockets (RFC 8441)

ASK = (
    *but(GET, method=b"CONNECT"), (b":protocol", b"websocket"), (b"sec-websocket-version", b"13"),
    (b"origin", b"https://h"),
)  # fmt: skip
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: abc\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
)


async def test_a_websocket_is_a_tunnel_on_one_stream(rig: Rig) -> None:
    client = Client(rig)
    assert client.reply(1).reset is None
    assert client.settings[8] == 1
    client.send(client.head(1, ASK, end=False))
    got = rig.replica.message()
    assert got.start == b"GET /x HTTP/1.1"
    assert (got.get(b"upgrade"), got.get(b"connection")) == (b"websocket", b"Upgrade")
    assert len(got.get(b"sec-websocket-key") or b"") == 24
    assert got.get(b"sec-websocket-version") == b"13"
    rig.replica.send(SWITCH + b"early")
    reply = client.reply(1)
    assert (reply.status, reply.body) == (200, b"early")
    assert reply.fields[b"sec-websocket-protocol"] == b"chat"
    assert not {b"sec-websocket-accept", b"upgrade", b"connection"} & reply.fields.keys()
    client.send(data(1, b"ping"))
    assert rig.replica.take() == b"ping"
    rig.replica.send(b"pong")
    assert client.reply(1).body == b"earlypong"
    rig.replica.hang_up()
    assert client.reply(1).ended
    assert rig.logged()[-1]["outcome"] == "ok"


async def test_a_client_ends_its_websocket(rig: Rig) -> None:
    client = Client(rig)
    client.send(client.head(1, ASK, end=False))
    rig.replica.send(SWITCH)
    client.send(data(1, b"bye", end=True))
    assert rig.replica.take().endswith(b"bye")
    assert rig.replica.closed == "close"
    assert (client.reply(1).ended, client.streams[1].reset) == (True, None)


async def test_a_websocket_may_be_declined(rig: Rig) -> None:
    client = Client(rig)
    client.send(client.head(1, ASK, end=False))
    rig.replica.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    reply = client.reply(1)
    assert (reply.status, reply.body, reply.ended) == (403, b"no", True)
    assert reply.reset == ErrorCodes.NO_ERROR


async def test_bytes_before_a_websocket_is_granted_are_refused(rig: Rig) -> None:
    client = Client(rig)
    client.send(client.head(1, ASK, end=False), data(1, b"smuggled"))
    assert (client.reply(1).status, client.streams[1].reset) == (400, ErrorCodes.PROTOCOL_ERROR)
    assert rig.replica.closed
    assert b"smuggled" not in rig.replica.written
