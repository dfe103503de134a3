"""Contexts, tried by handshakes in memory."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from fleet.tls import (
    ClientTls,
    KeyPair,
    ServerTls,
    TlsError,
    check_authorities,
    check_pair,
    client_context,
    server_context,
)
from fleet.x509 import dns_names
from tests.support.certificates import Authority, Pair


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), "other")


@pytest.fixture(scope="module")
def pairs(authority: Authority) -> dict[str, Pair]:
    return {
        "one": authority.issue("one", "DNS:One.Example", "IP:127.0.0.1"),
        "two": authority.issue("two", "DNS:two.example", "DNS:*.agents.example"),
        "plain": authority.issue("plain"),
    }


def text(pair: Pair) -> KeyPair:
    return KeyPair(cert=pair.cert.read_text(), key=pair.key.read_text())


def server(*pairs: Pair, **changes: Any) -> ssl.SSLContext:
    settings: dict[str, Any] = {
        "client_ca": None, "client_auth": "none", "min_version": "1.2", "handshake_timeout": 1.0,
    }  # fmt: skip
    certificates = tuple(text(pair) for pair in pairs)
    return server_context(ServerTls(certificates=certificates, **(settings | changes)))


def client(**changes: Any) -> ssl.SSLContext:
    settings = {"ca": None, "server_name": None, "verify": True, "pair": None}
    return client_context(ClientTls(**(settings | changes)))


def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends, server first, once each is through; raises what either raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    assert not waiting
    return ends[1], ends[0]


def shown_to(server: ssl.SSLContext, authority: Authority, name: str) -> str:
    """Common name of the certificate that a client asking for `name` is shown."""
    context = authority.client()
    context.check_hostname = False
    _, end = handshake(server, context, name)
    fields: Any = end.getpeercert()
    return str(fields["subject"][0][0][1])


def test_names_of_a_certificate(pairs: dict[str, Pair]) -> None:
    assert dns_names(pairs["one"].cert.read_text()) == ("one.example",)
    assert dns_names(pairs["two"].cert.read_text()) == ("two.example", "*.agents.example")
    assert dns_names(pairs["plain"].cert.read_text()) == ()


def test_names_are_those_of_the_first_certificate_of_a_chain(pairs: dict[str, Pair]) -> None:
    chain = "a comment\n" + pairs["one"].cert.read_text() + pairs["two"].cert.read_text()
    assert dns_names(chain) == ("one.example",)


def test_a_certificate_cut_at_any_byte_is_no_certificate(pairs: dict[str, Pair]) -> None:
    der = ssl.PEM_cert_to_DER_cert(pairs["two"].cert.read_text())
    for end in range(1, len(der) - 80):  # the rest is the signature
        with pytest.raises(ValueError, match="not a certificate"):
            dns_names(ssl.DER_cert_to_PEM_cert(der[:end]))


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("two.example", "two"),
        ("TWO.example", "two"),
        ("support.agents.example", "two"),
        ("agents.example", "one"),
        ("a.b.agents.example", "one"),
        ("one.example", "one"),
        ("unknown.example", "one"),
        ("127.0.0.1", "one"),
    ],
)
def test_a_client_is_shown_the_certificate_for_the_name_it_asks_for(
    authority: Authority, pairs: dict[str, Pair], asked: str, shown: str
) -> None:
    assert shown_to(server(pairs["one"], pairs["two"]), authority, asked) == shown


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        (("h2", "http/1.1"), "h2"), (("http/1.1", "h2"), "h2"), (("h2",), "h2"),
        (("http/1.1",), "http/1.1"), (("h3",), None), ((), None),
    ],
)  # fmt: skip
def test_http_2_is_agreed_on_where_it_is_offered(
    authority: Authority,
    pairs: dict[str, Pair],
    offered: tuple[str, ...],
    agreed: str | None,
) -> None:
    ours = server(pairs["one"], pairs["two"], http2=True)
    for name in ("one.example", "two.example"):
        both = handshake(ours, authority.client(alpn=offered), name)
        assert [end.selected_alpn_protocol() for end in both] == [agreed] * 2


def test_http_1_1_is_agreed_on_and_nothing_else_without_it(
    authority: Authority, pairs: dict[str, Pair]
) -> None:
    ours = server(pairs["one"])
    both = handshake(ours, authority.client(alpn=("h2", "http/1.1")), "one.example")
    assert [end.selected_alpn_protocol() for end in both] == ["http/1.1"] * 2
    both = handshake(ours, authority.client(alpn=("h2",)), "one.example")
    assert [end.selected_alpn_protocol() for end in both] == [None] * 2


@pytest.mark.parametrize(("least", "version"), [("1.2", "TLSv1.2"), ("1.3", None)])
def test_the_least_version(
    authority: Authority, pairs: dict[str, Pair], least: str, version: str | None
) -> None:
    old = authority.client()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    ours = server(pairs["one"], min_version=least)
    if version is None:
        with pytest.raises(ssl.SSLError):
            handshake(ours, old, "one.example")
    else:
        assert handshake(ours, old, "one.example")[0].version() == version


@pytest.mark.parametrize(
    ("auth", "shows", "through"),
    [
        ("none", None, True),
        ("none", "ours", True),
        ("optional", None, True),
        ("optional", "ours", True),
        ("optional", "other", False),
        ("required", None, False),
        ("required", "ours", True),
        ("required", "other", False),
    ],
)
def test_client_certificates(
    authority: Authority,
    other_authority: Authority,
    pairs: dict[str, Pair],
    auth: str,
    shows: str | None,
    through: bool,
) -> None:
    shown = {"ours": pairs["two"], "other": other_authority.issue("stranger"), None: None}[shows]
    ca = authority.cert.read_text() if auth != "none" else None
    ours = server(pairs["one"], client_auth=auth, client_ca=ca)
    if not through:
        with pytest.raises(ssl.SSLError):
            handshake(ours, authority.client(shown), "one.example")
        return
    end, _ = handshake(ours, authority.client(shown), "one.example")
    assert bool(end.getpeercert()) is (auth != "none" and shows is not None)


@pytest.mark.parametrize(
    ("changes", "name", "reason"),
    [
        pytest.param({"ca": "ours"}, "one.example", None, id="the right authority and name"),
        pytest.param({"ca": "ours"}, "127.0.0.1", None, id="the right address"),
        pytest.param({"ca": "ours"}, "two.example", "Hostname mismatch", id="another name"),
        pytest.param(
            {"ca": "other"}, "one.example", "certificate verify failed", id="not its authority"
        ),
        pytest.param({}, "one.example", "certificate verify failed", id="the system's authorities"),
        pytest.param({"verify": False}, "two.example", None, id="unchecked"),
    ],
)
def test_replicas_are_checked(
    authority: Authority,
    other_authority: Authority,
    pairs: dict[str, Pair],
    changes: dict[str, Any],
    name: str,
    reason: str | None,
) -> None:
    if "ca" in changes:
        chosen = {"ours": authority, "other": other_authority}[changes["ca"]]
        changes = {**changes, "ca": chosen.cert.read_text()}
    theirs = authority.server(pairs["one"])
    if reason is None:
        handshake(theirs, client(**changes), name)
    else:
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            handshake(theirs, client(**changes), name)


def test_a_client_certificate_is_shown_to_replicas(
    authority: Authority, pairs: dict[str, Pair]
) -> None:
    theirs = authority.server(pairs["one"], client_required=True)
    ours = client(ca=authority.cert.read_text(), pair=text(pairs["two"]))
    end, _ = handshake(theirs, ours, "one.example")
    assert dns_names(ssl.DER_cert_to_PEM_cert(end.getpeercert(True) or b""))[0] == "two.example"


def test_pairs_that_cannot_be_used(pairs: dict[str, Pair]) -> None:
    one, two = text(pairs["one"]), text(pairs["two"])
    encrypted = Path("tests/testdata/config/tls/encrypted.key")
    wrong = {
        "`cert` holds no certificate in PEM": KeyPair(cert=one.key, key=one.key),
        "`key` holds no private key in PEM": KeyPair(cert=one.cert, key=one.cert),
        "`key` is not the key of `cert`": KeyPair(cert=one.cert, key=two.key),
        "`key` is encrypted": KeyPair(
            cert=one.cert, key=(Path(__file__).parents[3] / encrypted).read_text()
        ),
        "cannot be used": KeyPair(cert=one.cert.replace("MII", "MIJ"), key=one.key),
    }
    for message, pair in wrong.items():
        with pytest.raises(TlsError, match=message):
            check_pair(pair)
    check_pair(one)


@pytest.mark.parametrize("pem", ["", "nothing", "-----BEGIN CERTIFICATE-----\nMIIB\n"])
def test_authorities_that_are_none(pem: str) -> None:
    with pytest.raises(TlsError, match="no certificates in PEM"):
        check_authorities(pem)
