"""Steps that many transcripts share."""

from __future__ import annotations

from tests.protocol.support import Rig, Wire

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(upstream: Wire, client: Wire) -> None:
    """The replica's reply is the one message that the client gets."""
    upstream.send(OK)
    assert client.message().body == b"ok"


def served(rig: Rig) -> Wire:
    """A client that has had its answer; the connection to the replica is kept."""
    client = rig.client()
    client.send(GET)
    rig.replica.send(OK)
    client.take()
    return client


def forget_idle(rig: Rig) -> None:
    """The kept connections to replicas are closed, so that the next requests dial."""
    for version in rig.plane.directory.pools["agents"].versions.values():
        for replica in version.replicas.values():
            replica.close_idle()
    rig.turn()
