import pytest

from router.http.head import parse_head
from router.peer import Peer, TrustedProxies, distinguished_name

TRUSTED = TrustedProxies(["10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32", "unix"])


@pytest.mark.parametrize(
    ("client", "trusted"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("fe80::1%eth0", False),
        ("unix", True),
    ],
)
def test_trusted_proxies(client: str, trusted: bool) -> None:
    assert (client in TRUSTED) is trusted


def test_nobody_is_trusted_unless_named() -> None:
    nobody = TrustedProxies()
    assert "127.0.0.1" not in nobody
    assert "unix" not in nobody


def test_a_certificate_is_told_of_before_the_rest() -> None:
    head = parse_head(b"GET", b"/", 1, [(b"Host", b"h")])
    for trusted in (False, True):
        peer = Peer("::1", tls=True, trusted=trusted, certificate=b'Subject="CN=a"')
        assert peer.forwarded(head) == (
            b'X-Forwarded-Client-Cert: Subject="CN=a"\r\n'
            b"X-Forwarded-For: ::1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n"
        )


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ((), ""),
        (((("commonName", "a b"),),), "CN=a b"),
        (
            ((("countryName", "DE"),), (("organizationName", "X"),), (("commonName", "y"),)),
            "CN=y,O=X,C=DE",
        ),
        (((("commonName", "a"), ("userId", "b")),), "CN=a+UID=b"),
        (((("serialNumber", "7"),),), "serialNumber=7"),
        (((("commonName", 'a",O=b;c=\\'),),), r"CN=a\22\2CO\3Db\3Bc\3D\5C"),
        (((("commonName", " #a "),),), r"CN=\20#a\20"),
        (((("commonName", "#a"),),), r"CN=\23a"),
        (((("commonName", "é\r\nX: y"),),), r"CN=\C3\A9\0D\0AX: y"),
    ],
)
def test_a_subject_as_text(subject: tuple[tuple[tuple[str, str], ...], ...], text: str) -> None:
    assert distinguished_name(subject) == text
