"""Frames of RFC 6455, as far as an echo needs them. Pure."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

CLOSE = 0x8
TEXT = 0x1
PING = 0x9

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FINAL = 0x80
_MASKED = 0x80


@dataclass(frozen=True)
class Frame:
    """One frame, unmasked. `length` is what it took of the buffer."""

    opcode: int
    payload: bytes
    length: int


def accept(key: bytes) -> bytes:
    """`Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455, 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())


def upgrade(port: int, path: str) -> bytes:
    """The head of an opening handshake, with the key of the RFC's example."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def frame(opcode: int, payload: bytes, key: bytes = b"") -> bytes:
    """A final frame, masked when there is a key of four bytes, as a client's must be."""
    mask = _MASKED if key else 0
    size = len(payload)
    if size < 126:
        head = bytes((_FINAL | opcode, mask | size))
    elif size < 1 << 16:
        head = bytes((_FINAL | opcode, mask | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((_FINAL | opcode, mask | 127)) + size.to_bytes(8, "big")
    return head + key + (_xor(payload, key) if key else payload)


def first(buffer: bytes) -> Frame | None:
    """The frame that `buffer` begins with; None when it is not whole yet."""
    if len(buffer) < 2:
        return None
    masked, size, at = buffer[1] & _MASKED, buffer[1] & 0x7F, 2
    if size >= 126:
        wide = 2 if size == 126 else 8
        if len(buffer) < at + wide:
            return None
        size, at = int.from_bytes(buffer[at : at + wide], "big"), at + wide
    key = buffer[at : at + 4] if masked else b""
    at += len(key)
    end = at + size
    if (masked and len(key) < 4) or len(buffer) < end:
        return None
    payload = buffer[at:end]
    return Frame(buffer[0] & 0x0F, _xor(payload, key) if masked else payload, end)


def _xor(payload: bytes, key: bytes) -> bytes:
    # as two large integers: 40 times faster than byte by byte
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")
