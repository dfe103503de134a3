"""The bytes every peer relays: chat requests, because the model routers pass on nothing else."""

from __future__ import annotations

import json

PATH = "/v1/chat/completions"

WEBSOCKET_PATH = "/v1/chat/socket"

MARK = b'"end":1}'
"""The last bytes of a small reply."""

DONE = b"data: [DONE]\n\n"
"""The last event of a stream."""

_ANSWER = b'{"id":"bench","object":"chat.completion","choices":[{"message":{"content":"%b"}}],'
REPLY = _ANSWER % (b"x" * (144 - len(_ANSWER) - len(MARK))) + MARK
assert len(REPLY) == 142

EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"token " * 8)


def body(size: int, *, stream: bool = False) -> bytes:
    """A chat request of exactly `size` bytes (at least 110)."""
    document = {
        "model": "bench",
        "messages": [{"role": "user", "content": ""}],
        "stream": stream,
    }
    empty = json.dumps(document, separators=(",", ":"))
    return empty.replace('"content":""', '"content":"%s"' % ("x" * (size - len(empty)))).encode()


def request(port: int, size: int = 300, *, stream: bool = False) -> bytes:
    """Head and body of a POST."""
    payload = body(size, stream=stream)
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    ).encode() + payload
