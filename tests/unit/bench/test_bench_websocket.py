from __future__ import annotations

import pytest

from bench import websocket

KEY = b"\x37\xfa\x21\x3d"
HELLO_MASKED = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"


def test_the_accept_key_is_that_of_the_rfc() -> None:
    assert websocket.accept(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param(b"", b"\x81\x05Hello", id="unmasked, from a server"),
        pytest.param(KEY, HELLO_MASKED, id="masked, from a client"),
    ],
)
def test_hello_is_framed_as_in_the_rfc(key: bytes, expected: bytes) -> None:
    assert websocket.frame(websocket.TEXT, b"Hello", key) == expected


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("key", [b"", KEY], ids=["unmasked", "masked"])
def test_what_is_framed_is_read_back_whatever_its_length(size: int, key: bytes) -> None:
    payload = bytes(range(256)) * (size // 256 + 1)
    payload = payload[:size]
    framed = websocket.frame(websocket.PING, payload, key)

    found = websocket.first(framed + b"more")

    assert found == websocket.Frame(websocket.PING, payload, len(framed))


@pytest.mark.parametrize("end", range(len(HELLO_MASKED)))
def test_a_part_of_a_frame_is_not_a_frame(end: int) -> None:
    assert websocket.first(HELLO_MASKED[:end]) is None
