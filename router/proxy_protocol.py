"""PROXY headers, version 1 and 2: who the client behind a proxy is. Pure.

Source: "The PROXY protocol, versions 1 & 2" (HAProxy, doc/proxy-protocol.txt), sections 2.1 and
2.2. Type-length-value fields behind the addresses of version 2 are passed over.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from typing import Final

from msgspec import Struct

MAX_V1: Final = 107
"""Bytes of the longest line of version 1, its CRLF included (section 2.1)."""
MAX_V2: Final = 4096
"""Bytes of a header of version 2; the format allows 65,551, of which addresses are 216."""

_V1: Final = b"PROXY "
_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_HEAD: Final = struct.Struct("!12sBBH")
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_UNSPECIFIED_FAMILY, _UNIX_FAMILY = 0x0, 0x3
_V1_LINE: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [\x20-\x7e]*)?"
    rb"|(TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) ([0-9]{1,5}) ([0-9]{1,5}))\r\n"
)


class BadHeaderError(ValueError):
    """What came is not the beginning of a PROXY header; the connection must be closed."""


class Header(Struct, frozen=True):
    """A whole header."""

    size: int
    """Bytes; what follows is the client's."""
    client: str | None
    """Address of the client; `unix` for a Unix socket; None: it is the peer itself that speaks,
    or does not say for whom."""


def parse(data: bytes) -> Header | None:
    """The header that `data` begins with; None while more must come. Raises BadHeaderError.

    While None, every byte of `data` belongs to the header.
    """
    if data[: len(_V1)] == _V1[: len(data)]:
        return _parse_v1(data)
    if data[: len(_V2)] == _V2[: len(data)]:
        return _parse_v2(data)
    raise BadHeaderError("no PROXY header")


def _parse_v1(data: bytes) -> Header | None:
    end = data.find(b"\n", 0, MAX_V1)
    if end < 0:
        if len(data) >= MAX_V1:
            raise BadHeaderError("the PROXY line is too long")
        return None
    line = _V1_LINE.fullmatch(data, 0, end + 1)
    if line is None:
        raise BadHeaderError("the PROXY line is malformed")
    family, source, destination, *ports = line.groups()
    if family is None:
        return Header(end + 1, None)
    try:
        kind = ipaddress.IPv4Address if family == b"TCP4" else ipaddress.IPv6Address
        client = kind(source.decode())
        kind(destination.decode())
    except ValueError:
        raise BadHeaderError("the PROXY line has a bad address") from None
    if any(int(port) > 65535 or (port[:1] == b"0" and port != b"0") for port in ports):
        raise BadHeaderError("the PROXY line has a bad port")
    return Header(end + 1, str(client))


def _parse_v2(data: bytes) -> Header | None:
    if len(data) < _V2_HEAD.size:
        return None
    _, command, family, length = _V2_HEAD.unpack_from(data)
    if command not in (_LOCAL, _PROXY):
        raise BadHeaderError("unknown version or command of a PROXY header")
    size = _V2_HEAD.size + length
    if size > MAX_V2:
        raise BadHeaderError("the PROXY header is too long")
    if len(data) < size:
        return None
    if command == _LOCAL:
        return Header(size, None)
    return Header(size, _v2_client(family, data[_V2_HEAD.size : size]))


def _v2_client(family: int, addresses: bytes) -> str | None:
    if family == _TCP4 and len(addresses) >= 12:
        return str(ipaddress.IPv4Address(addresses[:4]))
    if family == _TCP6 and len(addresses) >= 36:
        return str(ipaddress.IPv6Address(addresses[:16]))
    if family >> 4 == _UNIX_FAMILY and len(addresses) >= 216:
        return "unix"
    if family >> 4 == _UNSPECIFIED_FAMILY:
        return None
    raise BadHeaderError("the PROXY header has no addresses of a stream that it names")
