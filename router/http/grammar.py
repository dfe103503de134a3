"""The grammar of HTTP/1.1 messages as expressions over bytes, taken from RFC 9112. Pure.

The expressions are possessive and each starts at a line's first byte, so matching is linear in
the input. What they do not match is refused: nothing here repairs a message.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

RawHeaders = Sequence[tuple[bytes, bytes]]
"""Names and values as received; a value may still have blanks behind it."""

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_TEXT = rb"[\t\x20-\x7e\x80-\xff]*+"
_QUOTED = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'
_BLANKS = rb"[ \t]*+"

REQUEST_LINE = re.compile(rb"(%b) ([\x21\x22\x24-\x5b\x5d-\x7e]++) HTTP/1\.([01])\r\n" % TOKEN)
"""Method, target, minor version. A target has no `#`, backslash, space, control or 8-bit byte."""

STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: %b)?\r\n" % _TEXT)
"""Minor version, status."""

_OTHER_VERSION = re.compile(rb"%b [^ ]+ HTTP/(?!1\.[01]\r)[0-9]\.[0-9]\r\n" % TOKEN)
_OTHER_TARGET = re.compile(rb"%b [^ ]+ HTTP/1\.[01]\r\n" % TOKEN)

_FIELD = re.compile(rb"(?<![^\n])(%b):%b(%b)\r\n" % (TOKEN, _BLANKS, _TEXT))

CHUNK = re.compile(
    rb"([0-9A-Fa-f]{1,16}+)((?:%b;%b%b(?:%b=%b(?:%b|%b))?)*+)\r\n"
    % (_BLANKS, _BLANKS, TOKEN, _BLANKS, _BLANKS, TOKEN, _QUOTED)
)
"""Size and extensions of a chunk (RFC 9112 section 7.1.1)."""

_CHUNK_PART = re.compile(rb"[0-9A-Fa-f]{1,16}+(?:[ \t;]%b)?\r?" % _TEXT)
_STRAY = re.compile(rb"(?<!\r)\n|\r(?!\n)(?!\Z)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class MalformedError(ValueError):
    """Bytes that are no HTTP message. The text says what is wrong, for people."""


class VersionError(MalformedError):
    """A request of another version of HTTP."""


class TargetError(MalformedError):
    """A request whose target has bytes that no target may have."""


def fields(data: bytes, start: int, end: int) -> list[tuple[bytes, bytes]]:
    """The header fields in `data[start:end]`, which holds whole lines.

    A match begins at a line and consumes exactly that line, so there are as many matches as
    lines exactly if every line is a field. Raises `MalformedError`.
    """
    found = _FIELD.findall(data, start, end)
    if data.count(b"\n", start, end) != len(found):
        raise MalformedError("a header field is malformed")
    return found


def check_part(data: bytes, start: int) -> None:
    """See that the part of a head or of trailers in `data[start:]` may yet become one.

    Raises `MalformedError` for a bare CR or LF or a control byte: the rest is not waited for.
    """
    if _STRAY.search(data, start) is not None:
        raise MalformedError("a control byte, or a line not ended by CR and LF")


def check_chunk_part(part: bytes) -> None:
    """See that `part` may yet become the line before a chunk. Raises `MalformedError`."""
    if _CHUNK_PART.fullmatch(part) is None:
        raise MalformedError("the size of a chunk is malformed")


def bad_request_line(line: bytes) -> MalformedError:
    """What is wrong with a request line, its CR and LF included."""
    if _OTHER_VERSION.fullmatch(line):
        return VersionError("only HTTP/1.1 and HTTP/1.0 are served here")
    if _OTHER_TARGET.fullmatch(line):
        return TargetError("the request target has a byte that must be percent-encoded")
    return MalformedError("the request line is malformed")
