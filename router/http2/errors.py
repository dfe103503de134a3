"""What ends a stream or a whole connection of HTTP/2."""

from __future__ import annotations

from h2.errors import ErrorCodes

from router.errors import Refusal


class ConnectionFault(Exception):  # noqa: N818 - the client's, and it is told by GOAWAY
    """The connection cannot go on; `code` goes into GOAWAY, `reason` into the log."""

    def __init__(self, code: ErrorCodes, reason: str, message: str) -> None:
        super().__init__(f"{code.name} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message


class Malformed(Refusal):
    """A request that HTTP/2 calls malformed: it is answered with 400 and its stream is reset with
    PROTOCOL_ERROR (RFC 9113 section 8.1.1).
    """

    def __init__(self, message: str, code: str = "bad_request") -> None:
        super().__init__(400, code, message)
