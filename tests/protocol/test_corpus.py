"""The corpus in tests/testdata/http: each case whole, and cut at every byte."""

# a wire changes state by calls mypy does not follow
# mypy: disable-error-code="unreachable,comparison-overlap"

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.protocol.messages import Message, parse
from tests.protocol.play import play
from tests.protocol.support import Rig

CORPUS = Path(__file__).resolve().parents[1] / "testdata" / "http"
LIMITS = {"target": 256, "headers": 16, "header_size": 900}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PROBE = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"


class Case(NamedTuple):
    keys: tuple[tuple[str, str], ...]
    wire: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.keys if key == name]

    def get(self, name: str) -> str:
        return next(iter(self.all(name)), "")


def unescaped(text: str) -> bytes:
    return text.encode().decode("unicode_escape").encode("latin-1")


def read(path: Path) -> Case:
    top, _, wire = path.read_text(encoding="ascii").partition("\n\n")
    keys = tuple((k, v) for k, _, v in (line.partition(": ") for line in top.split("\n")))
    return Case(keys, unescaped(wire.replace("\n", "")))


def cases(folder: str) -> dict[str, Case]:
    found = {path.stem: read(path) for path in sorted((CORPUS / folder).glob("*.txt"))}
    assert len(found) > 30
    return found


REQUESTS, REPLIES = cases("requests"), cases("replies")


def serve(rig: Rig) -> list[Message]:
    """Answer every request that reaches a replica whole, and give them all."""
    got = []
    progress = True
    while progress:
        progress = False
        for upstream in rig.upstreams:
            if not upstream.closed and _whole(upstream.written):
                got.append(upstream.message())
                upstream.send(OK)
                progress = True
    return got


def _whole(data: bytes) -> bool:
    try:
        return bool(data) and all(m.whole for m in parse(data))
    except AssertionError:
        return False


@pytest.mark.parametrize("case", REQUESTS.values(), ids=REQUESTS)
async def test_request(case: Case) -> None:
    wanted = [] if case.get("replica") == "nothing" else case.all("replica")

    def scenario(rig: Rig) -> object:
        rig.configure(limits=LIMITS)
        client = rig.client()
        client.send(case.wire)
        got = serve(rig)
        assert [f"{m.start.decode()} | {m.body.decode()}".strip() for m in got] == wanted
        assert [str(m.status) for m in client.messages()] == case.get("answer").split()
        assert client.half_closed is (case.get("client") == "closed")
        for upstream in rig.upstreams:
            assert b"smuggled" not in upstream.written
            if not wanted:
                assert upstream.closed
                assert not _whole(upstream.written) or b"Upgrade: websocket" in upstream.written
        if got:
            check_fields(case, got[0])
        client.take()
        if case.get("client") == "kept":
            client.send(PROBE)
            assert [m.start for m in serve(rig)] == [b"GET /next HTTP/1.1"]
            assert client.message().status == 200
        return None

    play(scenario)


def check_fields(case: Case, message: Message) -> None:
    fields = [b"%b: %b" % field for field in message.fields]
    for line in case.all("has"):
        assert unescaped(line) in fields
    for line in case.all("lacks"):
        assert unescaped(line) not in fields
    assert [b"%b: %b" % t for t in message.trailers] == [unescaped(t) for t in case.all("trailer")]


@pytest.mark.parametrize("case", [c for c in REQUESTS.values() if c.get("replica") == "nothing"])
async def test_nothing_at_all_is_seen_of_a_bad_request_that_comes_whole(
    rig: Rig, case: Case
) -> None:
    rig.configure(limits=LIMITS)
    rig.client().send(case.wire)
    assert all(not upstream.written for upstream in rig.upstreams)


@pytest.mark.parametrize("case", REPLIES.values(), ids=REPLIES)
async def test_reply(case: Case) -> None:
    head = case.get("request") == "HEAD"
    answers = [case.get("answer").split()]
    if case.get("late"):
        answers.append(case.get("late").split())

    def scenario(rig: Rig) -> object:
        client = rig.client()
        client.send(case.get("request").encode() + b" / HTTP/1.1\r\nHost: h\r\n\r\n")
        rig.replica.send(case.wire)
        got = client.messages(bodiless=head)
        client.take()
        assert [str(m.status) for m in got] in answers
        if case.get("body"):
            assert (got[-1].body, got[-1].whole) == (case.get("body").encode(), True)
        assert bool(rig.upstreams[0].closed) is (case.get("replica") == "dropped")
        client.send(PROBE)
        assert len(rig.upstreams) == (2 if case.get("replica") == "dropped" else 1)
        rig.replica.send(OK)
        assert client.message().body == b"ok"
        return None

    play(scenario)
