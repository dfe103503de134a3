from __future__ import annotations

import json

import pytest

from bench import traffic


@pytest.mark.parametrize("size", [300, 65536])
@pytest.mark.parametrize("stream", [False, True])
def test_a_body_is_a_chat_request_of_the_size_asked_for(size: int, stream: bool) -> None:
    body = traffic.body(size, stream=stream)

    assert len(body) == size
    assert json.loads(body)["stream"] is stream


def test_the_small_reply_is_json_that_ends_in_its_mark() -> None:
    assert json.loads(traffic.REPLY)["end"] == 1
    assert traffic.REPLY.endswith(traffic.MARK)
