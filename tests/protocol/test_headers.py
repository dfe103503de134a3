"""Which header fields go through, which are dropped and which are written anew."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from tests.protocol.play import play
from tests.protocol.support import Rig, pool, replica, route, version

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def request(*lines: bytes) -> bytes:
    return b"\r\n".join([b"GET / HTTP/1.1", b"Host: h", *lines, b"", b""])


SENT_ON = {
    "an unknown field": (b"X-Any: 1", b"x-any", [b"1"]),
    "a repeated field, in order": (b"Accept: a\r\nAccept: b", b"accept", [b"a", b"b"]),
    "the trace context": (b"traceparent: 00-ab-cd-01", b"traceparent", [b"00-ab-cd-01"]),
    "credentials": (b"Authorization: Bearer x", b"authorization", [b"Bearer x"]),
    "credentials named in Connection": (
        b"Authorization: x\r\nConnection: authorization", b"authorization", [b"x"]),
    "a cookie named in Connection": (b"Cookie: a=1\r\nConnection: cookie", b"cookie", [b"a=1"]),
    "a field named in Connection": (b"X-Hop: 1\r\nConnection: keep-alive, X-Hop", b"x-hop", []),
    "Connection itself": (b"Connection: keep-alive", b"connection", []),
    "Keep-Alive": (b"Keep-Alive: timeout=5", b"keep-alive", []),
    "Proxy-Connection": (b"Proxy-Connection: keep-alive", b"proxy-connection", []),
    "TE": (b"TE: gzip", b"te", []),
    "TE: trailers, for the next hop": (b"TE: gzip, trailers", b"te", [b"trailers"]),
    "Connection naming TE": (b"TE: trailers", b"connection", [b"TE"]),
    "Trailer": (b"Trailer: X", b"trailer", [b"X"]),
    "Via, to which ours is added": (
        b"Via: 1.0 fred", b"via", [b"1.0 fred", b"1.1 headrace"]),
    "Max-Forwards, untouched but for OPTIONS": (b"Max-Forwards: 3", b"max-forwards", [b"3"]),
    "an offer of h2c, declined": (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA",
        b"upgrade", []),
    "settings of h2c": (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA",
        b"http2-settings", []),
    "an underscore twin of X-Forwarded-For": (
        b"X_Forwarded_For: 6.6.6.6", b"x_forwarded_for", []),
    "a mixed twin of X-Request-Id": (b"X-Request_Id: 1", b"x-request_id", []),
    "any other field with an underscore": (b"X_Any: 1", b"x_any", [b"1"]),
    "credentials of an API named in Connection": (
        b"X-Api-Key: k\r\nConnection: x-api-key", b"x-api-key", [b"k"]),
    "Forwarded": (b"Forwarded: for=6.6.6.6", b"forwarded", []),
    "X-Forwarded-For, overwritten": (
        b"X-Forwarded-For: 6.6.6.6", b"x-forwarded-for", [b"192.0.2.7"]),
    "X-Forwarded-Proto, overwritten": (
        b"X-Forwarded-Proto: https", b"x-forwarded-proto", [b"http"]),
    "X-Forwarded-Host, overwritten": (
        b"X-Forwarded-Host: evil", b"x-forwarded-host", [b"h"]),
    "X-Forwarded-For named in Connection": (
        b"Connection: x-forwarded-for", b"x-forwarded-for", [b"192.0.2.7"]),
    "Host named in Connection": (b"Connection: host", b"host", [b"h"]),
    "X-Forwarded-Client-Cert": (
        b"X-Forwarded-Client-Cert: Subject=\"CN=root\"", b"x-forwarded-client-cert", []),
}  # fmt: skip

SENT_ON_FROM_A_TRUSTED_PROXY = {
    "X-Forwarded-For, extended": (
        b"X-Forwarded-For: 6.6.6.6, 7.7.7.7", b"x-forwarded-for", [b"6.6.6.6, 7.7.7.7, 192.0.2.7"]),
    "several X-Forwarded-For, extended": (
        b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For:\r\nX-Forwarded-For: ::1 ",
        b"x-forwarded-for", [b"6.6.6.6, ::1, 192.0.2.7"]),
    "X-Forwarded-For of its own making": (b"X-Any: 1", b"x-forwarded-for", [b"192.0.2.7"]),
    "X-Forwarded-Proto": (b"X-Forwarded-Proto: https", b"x-forwarded-proto", [b"https"]),
    "X-Forwarded-Proto of its own making": (b"X-Any: 1", b"x-forwarded-proto", [b"http"]),
    "X-Forwarded-Host": (b"X-Forwarded-Host: public", b"x-forwarded-host", [b"public"]),
    "X-Forwarded-Host of its own making": (b"X-Any: 1", b"x-forwarded-host", [b"h"]),
    "X-Forwarded-Client-Cert": (
        b"X-Forwarded-Client-Cert: Subject=\"CN=root\"", b"x-forwarded-client-cert", []),
    "X-Request-Id": (b"X-Request-Id: mine-1", b"x-request-id", [b"mine-1"]),
    "X-Request-Id named in Connection": (
        b"X-Request-Id: mine-2\r\nConnection: x-request-id", b"x-request-id", [b"mine-2"]),
}  # fmt: skip


@pytest.mark.parametrize("case", SENT_ON.values(), ids=SENT_ON)
async def test_the_replica_sees(case: tuple[bytes, bytes, list[bytes]]) -> None:
    see_at_replica(case, trusted=())


@pytest.mark.parametrize(
    "case", SENT_ON_FROM_A_TRUSTED_PROXY.values(), ids=SENT_ON_FROM_A_TRUSTED_PROXY
)
async def test_the_replica_sees_from_a_trusted_proxy(
    case: tuple[bytes, bytes, list[bytes]],
) -> None:
    see_at_replica(case, trusted=("10.0.0.0/8", "192.0.2.0/24"))


def see_at_replica(case: tuple[bytes, bytes, list[bytes]], trusted: Sequence[str]) -> None:
    lines, name, values = case

    def scenario(rig: Rig) -> object:
        rig.configure(trusted=trusted)
        client = rig.client()
        client.send(request(lines))
        got = rig.replica.message().all(name)
        assert got == values
        rig.replica.send(OK)
        assert client.message().status == 200
        return got

    play(scenario)


PASSED_BACK = {
    "an unknown field": (b"X-Any: 1", b"x-any", [b"1"]),
    "each cookie": (b"Set-Cookie: a=1\r\nSet-Cookie: b=2", b"set-cookie", [b"a=1", b"b=2"]),
    "a field named in Connection": (b"X-Hop: 1\r\nConnection: X-Hop", b"x-hop", []),
    "a field that only begins like one named": (
        b"X-Hop-2: 1\r\nConnection: X-Hop", b"x-hop-2", [b"1"]),
    "Keep-Alive": (b"Keep-Alive: timeout=5", b"keep-alive", []),
    "Connection: close of the replica's side": (b"Connection: close", b"connection", []),
    "X-Served-By, overwritten": (b"X-Served-By: me", b"x-served-by", [b"agents/v1"]),
    "X-Request-Id, overwritten": (b"X-Request-Id: theirs", b"x-request-id", [b"mine"]),
    "Date and Server": (b"Server: agent", b"server", [b"agent"]),
}  # fmt: skip


@pytest.mark.parametrize("case", PASSED_BACK.values(), ids=PASSED_BACK)
async def test_the_client_sees(case: tuple[bytes, bytes, list[bytes]]) -> None:
    lines, name, values = case

    def scenario(rig: Rig) -> object:
        rig.configure(trusted=["192.0.2.7/32"])
        client = rig.client()
        client.send(request(b"X-Request-Id: mine"))
        rig.replica.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + lines + b"\r\n\r\n")
        got = client.message().all(name)
        assert got == values
        return got

    play(scenario)


async def test_served_by_can_be_left_out(rig: Rig) -> None:
    rig.configure(pool(served_by=False))
    client = rig.client()
    client.send(request())
    rig.replica.send(OK)
    assert client.message().get(b"x-served-by") is None


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"X-Request-Id: \r\n",
        b"X-Request-Id: two words\r\n",
        b"X-Request-Id: %b\r\n" % (b"a" * 129),
    ],
    ids=["none", "an empty one", "one with a space", "one that is too long"],
)
async def test_an_id_is_made_for_a_request_with(rig: Rig, given: bytes) -> None:
    rig.configure(trusted=["192.0.2.7/32"])
    client = rig.client()
    client.send(b"GET / HTTP/1.1\r\nHost: h\r\n" + given + b"\r\n")
    made = rig.replica.message().get(b"x-request-id")
    assert made is not None
    assert len(made) == 24
    rig.replica.send(OK)
    assert client.message().get(b"x-request-id") == made
    assert rig.logged()[0]["id"] == made.decode()


async def test_an_id_is_made_for_a_client_that_is_not_trusted(rig: Rig) -> None:
    client = rig.client()
    client.send(request(b"X-Request-Id: mine"))
    made = rig.replica.message().get(b"x-request-id")
    assert made is not None
    assert len(made) == 24
    rig.replica.send(OK)
    assert client.message().get(b"x-request-id") == made


async def test_a_refusal_bears_the_request_id(rig: Rig) -> None:
    rig.configure(routes=[], trusted=["192.0.2.7/32"])
    client = rig.client()
    client.send(request(b"X-Request-Id: mine"))
    got = client.message()
    assert (got.status, got.get(b"x-request-id")) == (404, b"mine")
    assert b'"request_id":"mine"' in got.body


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH"])
async def test_a_method_with_meaningful_body_announces_an_empty_one(
    rig: Rig, method: bytes
) -> None:
    client = rig.client()
    client.send(method + b" / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert rig.replica.message().get(b"content-length") == b"0"
    rig.replica.send(OK)
    assert client.message().status == 200


async def test_a_1_0_request_without_host_is_sent_on_with_the_replicas(rig: Rig) -> None:
    client = rig.client()
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    got = rig.replica.message()
    assert got.start == b"GET / HTTP/1.1"
    assert got.get(b"host") == b"10.0.0.1:9001"
    rig.replica.send(OK)
    assert client.message().get(b"connection") == b"close"


EXPECTING = b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"


async def test_an_expectation_is_met_by_the_replica() -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(EXPECTING)
        assert client.take() == b""
        assert b"\r\nExpect: 100-continue\r\n" in rig.replica.take()
        rig.replica.send(b"HTTP/1.1 100 Continue\r\nX-Any: 1\r\n\r\n")
        assert client.take() == b"HTTP/1.1 100 Continue\r\nX-Any: 1\r\n\r\n"
        client.send(b"hello")
        assert rig.replica.take() == b"hello"
        rig.replica.send(OK)
        assert client.message().status == 200
        assert not client.half_closed
        return None

    play(scenario)


async def test_a_final_reply_instead_of_100_ends_the_exchange_and_the_connection() -> None:
    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(EXPECTING)
        rig.replica.send(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno")
        got = client.message()
        assert (got.status, got.get(b"connection"), got.body) == (401, b"close", b"no")
        assert client.half_closed
        assert rig.replica.closed
        return None

    play(scenario)


async def test_a_client_that_waits_for_100_is_not_slow(rig: Rig) -> None:
    client = rig.client()
    rig.configure(timeouts={"body": 10})
    client.send(EXPECTING)
    rig.advance(40)
    rig.replica.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    rig.advance(9)
    assert client.take() == b""
    rig.advance(2)
    assert client.message().status == 408


async def test_a_100_nobody_waits_for_is_dropped_and_other_interim_replies_are_passed_on() -> None:
    def scenario(rig: Rig) -> object:
        client, old = rig.client(), rig.client()
        interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\n"
        client.send(request())
        rig.replica.send(b"HTTP/1.1 100 Continue\r\n\r\n" + interim + OK)
        got = client.messages()
        assert [m.status for m in got] == [103, 200]
        assert got[0].fields == ((b"Link", b"</a>"),)
        old.send(b"GET / HTTP/1.0\r\n\r\n")
        rig.replica.send(interim + OK)
        assert old.message().status == 200
        return None

    play(scenario)


async def test_an_expectation_is_not_met_when_the_request_is_refused(rig: Rig) -> None:
    rig.configure(routes=[])
    client = rig.client()
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    got = client.message()
    assert (got.status, got.get(b"connection")) == (404, b"close")
    assert client.half_closed


async def test_a_body_that_did_not_wait_gets_no_100(rig: Rig) -> None:
    client = rig.client()
    rig.dialling = "manual"
    client.send(
        b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"
    )
    rig.dials.popleft().answer()
    assert client.take() == b""
    got = rig.replica.message()
    assert (got.body, got.get(b"expect")) == (b"hi", None)
    rig.replica.send(OK)
    assert client.message().status == 200


async def test_a_version_can_be_named_by_header_even_at_weight_0(rig: Rig) -> None:
    rig.configure(pool("agents", version("v1"), version("v2", weight=0, block=2)))
    rig.members(version("v1", replica("a-1")), version("v2", replica("b-2"), weight=0, block=2))
    client = rig.client()
    client.send(request(b"x-headrace-version: v2"))
    rig.replica.send(OK)
    assert client.message().get(b"x-served-by") == b"agents/v2"
    client.send(request(b"X-Headrace-Version: v3"))
    assert client.message().status == 400


async def test_claims_of_a_trusted_proxy_are_kept_and_forwarded_grows(rig: Rig) -> None:
    rig.configure(trusted=["192.0.2.7/32"])
    rig.client().send(
        b"GET / HTTP/1.1\r\nHost: h\r\nX-Real-IP: 203.0.113.9\r\nX-Forwarded-Port: 8443\r\n"
        b'Forwarded: for="[2001:db8::9]"\r\nX_Real_IP: 6.6.6.6\r\n\r\n'
    )
    got = rig.replica.message()
    assert got.get(b"x-real-ip") == b"203.0.113.9"
    assert got.get(b"x-forwarded-port") == b"8443"
    assert got.get(b"forwarded") == b'for="[2001:db8::9]", for=192.0.2.7'
    assert got.get(b"x_real_ip") is None


async def test_trailers_cannot_carry_what_the_configuration_goes_by(rig: Rig) -> None:
    special = msgspec.structs.replace(route(), headers={"X-Team": "a"})
    rig.configure(
        pool(version_header="X-Release", affinity_header="X-Session"), routes=[special, route()]
    )
    trailers = b"x-team: a\r\nX-Release: v2\r\nX_Release: v2\r\nX-Session: s\r\nX-Sum: 1\r\n"
    chunks = b"2\r\nhi\r\n0\r\n" + trailers + b"\r\n"
    client = rig.client()
    client.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert rig.replica.message().trailers == ((b"X-Sum", b"1"),)
    rig.replica.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert client.message().trailers == ((b"X-Sum", b"1"),)
