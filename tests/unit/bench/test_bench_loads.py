"""What load programs say and read."""

from __future__ import annotations

import pytest

from bench.load.h2load import parsed
from bench.load.replies import ReplyReader
from bench.load.wrk import LoadError

SAID = """\
Application protocol: h2

finished in 1.01s, 80466.00 req/s, 13.97MB/s
requests: 80466 total, 80530 started, 80466 done, {succeeded} succeeded, {failed} failed, 0 errored, 0 timeout
status codes: 80466 2xx, 0 3xx, 0 4xx, 0 5xx
                     min         max         mean         sd        +/- sd
time for request:       60us     12.16ms       718us       342us    83.13%
"""  # noqa: E501


def test_requests_and_mean_latency_are_read() -> None:
    assert parsed(SAID.format(succeeded=80466, failed=0)) == (80466, pytest.approx(718e-6))


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(SAID.format(succeeded=80000, failed=466), id="more than one in 1000 failed"),
        pytest.param(SAID.format(succeeded=80300, failed=0), id="too many were not 2xx"),
        pytest.param(SAID.format(succeeded=0, failed=0), id="none succeeded"),
        pytest.param(SAID.replace("h2\n", "http/1.1\n"), id="another protocol was spoken"),
        pytest.param("could not connect", id="nothing of the kind was said"),
    ],
)
def test_a_run_that_means_nothing_is_refused(said: str) -> None:
    with pytest.raises(LoadError):
        parsed(said)


HEAD = b"HTTP/1.1 200 OK\r\nX-Agent: steady\r\n"

WHOLE = {
    "with a length": HEAD + b"Content-Length: 5\r\n\r\nhello",
    "without a body": HEAD + b"Content-Length: 0\r\n\r\n",
    "in chunks": HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("reply", WHOLE.values(), ids=WHOLE)
def test_a_reply_is_whole_with_its_last_byte(reply: bytes) -> None:
    for cut in range(len(reply)):
        reader = ReplyReader()
        assert not (cut and reader.feed(reply[:cut]))
        assert reader.feed(reply[cut:])
        assert (reader.status, reader.agent, reader.reusable) == (200, "steady", True)


def test_the_next_reply_begins_anew() -> None:
    reader = ReplyReader()
    assert reader.feed(WHOLE["with a length"])
    assert not reader.feed(b"HTTP/1.1 503 Busy\r\nConn")
    assert reader.feed(b"ection: close\r\nContent-Length: 1\r\n\r\nx")
    assert (reader.status, reader.agent, reader.reusable) == (503, "", False)


def test_without_framing_the_end_of_the_connection_decides() -> None:
    reader = ReplyReader()
    assert not reader.feed(HEAD + b"Connection: close\r\n\r\nhello")
    assert reader.status == 200
