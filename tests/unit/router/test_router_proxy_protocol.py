import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.proxy_protocol import BadHeaderError, Header, parse

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = bytes([192, 0, 2, 7, 10, 0, 0, 1]) + b"\x9c\x40\x01\xbb"
V6 = bytes.fromhex("20010db8000000000000000000000001" * 2) + b"\x9c\x40\x01\xbb"


def v2(command: int, family: int, addresses: bytes, length: int | None = None) -> bytes:
    size = len(addresses) if length is None else length
    return SIGNATURE + bytes([command, family]) + size.to_bytes(2) + addresses


WHOLE = {
    "TCP4": (b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\n", "192.0.2.7"),
    "TCP4 with the least and the greatest ports": (
        b"PROXY TCP4 192.0.2.7 10.0.0.1 0 65535\r\n", "192.0.2.7"),
    "TCP6": (b"PROXY TCP6 2001:DB8::1 ::1 40000 443\r\n", "2001:db8::1"),
    "TCP6 with the longest line": (
        b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
        b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    "UNKNOWN": (b"PROXY UNKNOWN\r\n", None),
    "UNKNOWN with addresses": (b"PROXY UNKNOWN ::1 ::1 1 2\r\n", None),
    "version 2, IPv4": (v2(0x21, 0x11, V4), "192.0.2.7"),
    "version 2, IPv4 with fields behind": (
        v2(0x21, 0x11, V4 + b"\x04\x00\x03abc"), "192.0.2.7"),
    "version 2, IPv6": (v2(0x21, 0x21, V6), "2001:db8::1"),
    "version 2, a Unix socket": (v2(0x21, 0x31, b"/run/a".ljust(216, b"\0")), "unix"),
    "version 2, of no family": (v2(0x21, 0x00, b""), None),
    "version 2, of no family with bytes behind": (v2(0x21, 0x00, b"any"), None),
    "version 2, the proxy's own health check": (v2(0x20, 0x00, b""), None),
    "version 2, the proxy's own with addresses": (v2(0x20, 0x11, V4), None),
}  # fmt: skip

BAD = {
    "no header": b"GET / HTTP/1.1\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01",
    "a lower-case name": b"proxy TCP4 ",
    "a line without its end": b"PROXY TCP4 " + b"1" * 100,
    "a line that ends with LF": b"PROXY UNKNOWN\n",
    "an unknown family": b"PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n",
    "an IPv6 address for TCP4": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "an IPv4 address for TCP6": b"PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n",
    "an address that is none": b"PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n",
    "a destination that is none": b"PROXY TCP4 192.0.2.7 10.0.0 1 2\r\n",
    "a port above 65535": b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 2\r\n",
    "a port with a zero before": b"PROXY TCP4 192.0.2.7 10.0.0.1 01 2\r\n",
    "a missing port": b"PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n",
    "two spaces": b"PROXY TCP4  192.0.2.7 10.0.0.1 1 2\r\n",
    "a space at the end": b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2 \r\n",
    "control bytes": b"PROXY UNKNOWN \x00\r\n",
    "version 2, another version": v2(0x31, 0x11, V4),
    "version 2, an unknown command": v2(0x22, 0x11, V4),
    "version 2, too few addresses": v2(0x21, 0x11, V4[:-1]),
    "version 2, IPv6 with the length of IPv4": v2(0x21, 0x21, V4),
    "version 2, datagrams": v2(0x21, 0x12, V4),
    "version 2, too long": v2(0x21, 0x11, V4, length=5000),
    "version 2, a broken signature": SIGNATURE[:-1] + b"\r",
}


@pytest.mark.parametrize(("data", "client"), WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("behind", [b"", b"GET / HTTP/1.1\r\n"], ids=["alone", "with more"])
def test_a_whole_header(data: bytes, client: str | None, behind: bytes) -> None:
    assert parse(data + behind) == Header(len(data), client)


@pytest.mark.parametrize("data", [case[0] for case in WHOLE.values()], ids=WHOLE)
def test_a_header_is_waited_for_at_every_byte(data: bytes) -> None:
    assert [parse(data[:end]) for end in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_refused(data: bytes) -> None:
    with pytest.raises(BadHeaderError):
        parse(data)


@given(st.sampled_from([b"", b"PROXY ", SIGNATURE]), st.binary(max_size=300))
def test_any_bytes_are_understood_waited_for_or_refused(start: bytes, rest: bytes) -> None:
    data = start + rest
    try:
        header = parse(data)
    except BadHeaderError:
        return
    if header is not None:
        assert 0 < header.size <= len(data)
        assert parse(data[: header.size]) == header
