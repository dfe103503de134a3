from __future__ import annotations

import pytest

from router.errors import Refusal, status_line
from router.http.head import Framing, RequestHead, parse_head
from router.http.reply import parse_reply

HOST = (b"Host", b"h")


def head(
    *fields: tuple[bytes, bytes],
    method: bytes = b"GET",
    target: bytes = b"/",
    minor: int = 1,
    host: bool = True,
    refuse_paths: bool = False,
) -> RequestHead:
    raw = [*([HOST] if host else []), *fields]
    return parse_head(method, target, minor, raw, refuse_paths=refuse_paths)


REFUSALS = {
    "CONNECT": ({"method": b"CONNECT", "target": b"h:1"}, [], (405, "method_not_allowed")),
    "TRACE": ({"method": b"TRACE"}, [], (405, "method_not_allowed")),
    "an upgrade to something else": ({}, [(b"Upgrade", b"tls/1.0")], (501, "upgrade_unsupported")),
    "h2c with a body": (
        {}, [(b"Upgrade", b"h2c"), (b"Content-Length", b"1")], (501, "upgrade_unsupported")),
    "a websocket that Connection does not name": (
        {}, [(b"Upgrade", b"websocket")], (400, "bad_upgrade")),
    "a websocket by POST": (
        {"method": b"POST"}, [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")],
        (400, "bad_upgrade")),
    "a websocket with a body": (
        {}, [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Content-Length", b"1")],
        (400, "bad_upgrade")),
    "a length with an underscore": ({}, [(b"Content_Length", b"1")], (400, "bad_framing")),
    "a coding with an underscore": ({}, [(b"Transfer_encoding", b"x")], (400, "bad_framing")),
    "hops that are no number": (
        {"method": b"OPTIONS"}, [(b"Max-Forwards", b"-1")], (400, "bad_request")),
    "a port out of range": ({"host": False}, [(b"Host", b"h:65536")], (400, "bad_host")),
    "a list of hosts": ({"host": False}, [(b"Host", b"a,b")], (400, "bad_host")),
    "an expectation": ({}, [(b"Expect", b"more")], (417, "bad_expect")),
    "no host": ({"host": False}, [], (400, "bad_host")),
    "two hosts": ({}, [(b"host", b"g")], (400, "bad_host")),
    "a host that is none": ({"host": False}, [(b"Host", b"a/b")], (400, "bad_host")),
    "a port that is none": ({"host": False}, [(b"Host", b"h:http")], (400, "bad_host")),
    "an unclosed bracket": ({"host": False}, [(b"Host", b"[::1")], (400, "bad_host")),
    "length and chunks": (
        {}, [(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")], (400, "bad_framing")),
    "two lengths": (
        {}, [(b"Content-Length", b"1"), (b"Content-Length", b"1")], (400, "bad_framing")),
    "a length that is no number": ({}, [(b"Content-Length", b"1e3")], (400, "bad_framing")),
    "a length of 2^63": ({}, [(b"Content-Length", b"%d" % (1 << 63))], (400, "bad_framing")),
    "chunks on 1.0": (
        {"minor": 0}, [(b"Transfer-Encoding", b"chunked")], (400, "bad_framing")),
    "a coding without chunked": (
        {}, [(b"Transfer-Encoding", b"gzip")], (501, "coding_unsupported")),
    "chunked not last": ({}, [(b"Transfer-Encoding", b"chunked, gzip")], (400, "bad_framing")),
    "chunked with a parameter": (
        {}, [(b"Transfer-Encoding", b"chunked;a=b")], (400, "bad_framing")),
    "an empty coding": ({}, [(b"Transfer-Encoding", b"")], (400, "bad_framing")),
    "chunked twice": (
        {}, [(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")],
        (400, "bad_framing")),
    "a coding before chunked": (
        {}, [(b"Transfer-Encoding", b"gzip"), (b"Transfer-Encoding", b"chunked")],
        (501, "coding_unsupported")),
    "a target without a slash": ({"target": b"x"}, [], (400, "bad_target")),
    "a % that encodes nothing": ({"target": b"/a%zz"}, [], (400, "bad_target")),
    "an encoded NUL": ({"target": b"/a%00"}, [], (400, "bad_target")),
    "dots between backslashes": ({"target": b"/a%5c..%5Cb"}, [], (400, "bad_target")),
    "dot segments, by setting": (
        {"target": b"/a/../b", "refuse_paths": True}, [], (400, "bad_target")),
    "encoded dots, by setting": (
        {"target": b"/a/.%2E", "refuse_paths": True}, [], (400, "bad_target")),
    "an encoded slash, by setting": (
        {"target": b"/a%2fb", "refuse_paths": True}, [], (400, "bad_target")),
    "doubled slashes, by setting": (
        {"target": b"//a", "refuse_paths": True}, [], (400, "bad_target")),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_a_head_is_refused_for(
    case: tuple[dict[str, object], list[tuple[bytes, bytes]], tuple[int, str]],
) -> None:
    changes, fields, expected = case
    with pytest.raises(Refusal) as refused:
        head(*fields, **changes)  # type: ignore[arg-type]
    assert (refused.value.status, refused.value.code) == expected


TARGETS = {
    "a plain path": (b"/a/b?c=..", b"/a/b?c=..", b"/a/b", b"h"),
    "dots inside a segment": (b"/a..b/.well-known/...", b"/a..b/.well-known/...",
                              b"/a..b/.well-known/...", b"h"),
    "an absolute form": (b"http://Other:8/x?y", b"/x?y", b"/x", b"other"),
    "an absolute form without path": (b"HTTP://other", b"/", b"/", b"other"),
    "an absolute form with query alone": (b"http://other?q", b"/?q", b"/", b"other"),
    "an IPv6 authority": (b"http://[::1]:8/x", b"/x", b"/x", b"[::1]"),
    "an encoded slash": (b"/a%2Fb?c=%2F//..", b"/a/b?c=%2F//..", b"/a/b", b"h"),
    "needless encoding": (b"/%61%7e%e4%3f", b"/a~%E4%3F", b"/a~%E4%3F", b"h"),
    "an encoded percent sign, once": (b"/%252e%252e/a", b"/%252e%252e/a", b"/%252e%252e/a", b"h"),
    "doubled slashes": (b"//a///b//", b"/a/b/", b"/a/b/", b"h"),
    "dot segments": (b"/a/b/../../../c/./d/.", b"/c/d/", b"/c/d/", b"h"),
    "encoded dot segments": (b"/a%2f%2e%2E%2fb/%2e%2e?x", b"/?x", b"/", b"h"),
    "dot segments that end in a name": (b"/v1/../admin", b"/admin", b"/admin", b"h"),
    "a host with the dot of a full name": (b"http://Other.:8/x", b"/x", b"/x", b"other"),
}  # fmt: skip


@pytest.mark.parametrize("case", TARGETS.values(), ids=TARGETS)
def test_a_target_is_understood_as(case: tuple[bytes, bytes, bytes, bytes]) -> None:
    given, target, path, host = case
    parsed = head(target=given)
    assert (parsed.target, parsed.path, parsed.host) == (target, path, host)


FRAMINGS = {
    "none": ([], Framing.NONE, 0),
    "a length": ([(b"Content-Length", b"12")], Framing.LENGTH, 12),
    "a length with blanks behind it": ([(b"Content-Length", b"12 \t")], Framing.LENGTH, 12),
    "a length of 0": ([(b"content-length", b"0")], Framing.NONE, 0),
    "chunks": ([(b"Transfer-Encoding", b"Chunked ")], Framing.CHUNKED, 0),
}


@pytest.mark.parametrize("case", FRAMINGS.values(), ids=FRAMINGS)
def test_a_body_is_framed_by(case: tuple[list[tuple[bytes, bytes]], Framing, int]) -> None:
    parsed = head(*case[0], method=b"POST")
    assert (parsed.framing, parsed.length) == case[1:]


def test_a_cookie_is_found_among_others() -> None:
    parsed = head((b"Cookie", b"a=1; sid=x=y ;b"), (b"Cookie", b"sid=second"))
    assert parsed.cookie(b"sid") == b"x=y"
    assert parsed.cookie(b"b") is None
    assert parsed.cookie(b"none") is None


def test_a_field_is_found_by_its_lower_case_name_without_blanks() -> None:
    parsed = head((b"X-Session", b"one "), (b"x-session", b"two"))
    assert parsed.header(b"x-session") == b"one"
    assert parsed.header(b"x-other") is None


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("minor", [0, 1])
@pytest.mark.parametrize("length", [b"0", b"1"])
def test_an_expectation_counts_on_1_1_with_a_body_only(
    method: bytes, minor: int, length: bytes
) -> None:
    fields = (b"Expect", b"100-Continue"), (b"Content-Length", length)
    parsed = head(*fields, method=method, minor=minor)
    assert parsed.expect_continue is (minor == 1 and length == b"1")


REPLIES = {
    "a length": (200, 1, [(b"Content-Length", b"5")], b"GET", (Framing.LENGTH, 5, True)),
    "a length of 0": (200, 1, [(b"Content-Length", b"0")], b"GET", (Framing.NONE, 0, True)),
    "chunks": (200, 1, [(b"Transfer-Encoding", b"chunked")], b"GET",
               (Framing.CHUNKED, -1, True)),
    "neither": (200, 1, [], b"GET", (Framing.UNTIL_CLOSE, -1, False)),
    "HEAD with a length": (200, 1, [(b"Content-Length", b"5")], b"HEAD",
                           (Framing.NONE, 5, True)),
    "204 with a length": (204, 1, [(b"Content-Length", b"5")], b"GET",
                          (Framing.NONE, -1, False)),
    "204 with chunks": (204, 1, [(b"Transfer-Encoding", b"chunked")], b"GET",
                        (Framing.NONE, -1, False)),
    "204 with length 0": (204, 1, [(b"Content-Length", b"0")], b"GET",
                          (Framing.NONE, -1, True)),
    "304 with a length": (304, 1, [(b"Content-Length", b"5")], b"GET",
                          (Framing.NONE, 5, True)),
    "HTTP/1.0": (200, 0, [(b"Content-Length", b"5")], b"GET", (Framing.LENGTH, 5, False)),
    "close": (200, 1, [(b"Content-Length", b"5"), (b"Connection", b"X, Close")], b"GET",
              (Framing.LENGTH, 5, False)),
}  # fmt: skip


@pytest.mark.parametrize("case", REPLIES.values(), ids=REPLIES)
def test_a_reply_is_framed_by(
    case: tuple[int, int, list[tuple[bytes, bytes]], bytes, tuple[Framing, int, bool]],
) -> None:
    status, minor, fields, method, expected = case
    parsed = parse_reply(status, minor, fields, method)
    assert (parsed.framing, parsed.length, parsed.keep_alive) == expected


BAD_REPLIES = {
    "two lengths": (1, [(b"Content-Length", b"5"), (b"Content-Length", b"5")]),
    "a length that is no number": (1, [(b"Content-Length", b"+5")]),
    "a length of 19 digits": (1, [(b"Content-Length", b"5" * 19)]),
    "length and chunks": (1, [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")]),
    "another coding": (1, [(b"Transfer-Encoding", b"gzip")]),
    "chunked twice": (1, [(b"Transfer-Encoding", b"chunked")] * 2),
    "chunks on 1.0": (0, [(b"Transfer-Encoding", b"chunked")]),
}


@pytest.mark.parametrize("case", BAD_REPLIES.values(), ids=BAD_REPLIES)
def test_a_reply_is_bad_for(case: tuple[int, list[tuple[bytes, bytes]]]) -> None:
    with pytest.raises(Refusal, match="502 bad_reply"):
        parse_reply(200, case[0], case[1], b"GET")


def test_a_status_without_a_name_has_a_line_all_the_same() -> None:
    assert status_line(200) == b"HTTP/1.1 200 OK\r\n"
    assert status_line(799) == b"HTTP/1.1 799 \r\n"
