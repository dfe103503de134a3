"""A plain reader of HTTP/1.1 messages for tests: what came, and whether it came whole."""

from __future__ import annotations

from typing import NamedTuple


class Message(NamedTuple):
    """One message. `whole`: its end was seen by its own framing, not by the connection's end."""

    start: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    whole: bool
    trailers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def status(self) -> int:
        return int(self.start.split(b" ")[1])

    def all(self, name: bytes) -> list[bytes]:
        """Values of every field of that lower-case name."""
        return [value for key, value in self.fields if key.lower() == name]

    def get(self, name: bytes) -> bytes | None:
        """Value of the only field of that lower-case name."""
        values = self.all(name)
        assert len(values) <= 1, f"{name!r} came {len(values)} times"
        return values[0] if values else None


def parse(data: bytes, *, bodiless: bool = False) -> list[Message]:
    """The messages in `data`; with `bodiless` (replies to HEAD) none has a body.

    A message without length or chunks takes the rest as its body if it is a reply that may have
    one, and has no body if it is a request.
    """
    messages = []
    while data:
        head, found, data = data.partition(b"\r\n\r\n")
        assert found, f"not a whole head: {head!r}"
        start, *lines = head.split(b"\r\n")
        message = Message(start, _fields(lines), b"", True)
        trailers: tuple[tuple[bytes, bytes], ...] = ()
        body, whole = b"", True
        status = message.status if start.startswith(b"HTTP/") else 0
        if bodiless or status in (204, 304) or 100 <= status < 200:
            pass
        elif message.get(b"transfer-encoding") == b"chunked":
            body, whole, trailers, data = _chunks(data)
        elif (length := message.get(b"content-length")) is not None:
            body, data = data[: int(length)], data[int(length) :]
            whole = len(body) == int(length)
        elif status:
            body, whole, data = data, False, b""
        messages.append(message._replace(body=body, whole=whole, trailers=trailers))
    return messages


def _fields(lines: list[bytes]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name, value) for name, _, value in (x.partition(b": ") for x in lines))


def _chunks(data: bytes) -> tuple[bytes, bool, tuple[tuple[bytes, bytes], ...], bytes]:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            lines = []
            while not data.startswith(b"\r\n"):
                line, end, data = data.partition(b"\r\n")
                assert end, "trailers without their end"
                lines.append(line)
            return body, True, _fields(lines), data[2:]
        body += data[:length]
        assert data[length : length + 2] in (b"\r\n", b""), "a chunk without its end"
        data = data[length + 2 :]
    return body, False, (), b""
