from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.config.addresses import (
    check_address,
    check_endpoint,
    check_host,
    check_listen_address,
    check_network,
    check_server_name,
    check_store_url,
    check_url,
    is_loopback,
    join_address,
    overlap,
    split_address,
)


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("[::1]:8080", "::1", 8080),
        ("[0:0:0:0:0:0:0:1]:1", "::1", 1),
        (":8080", "0.0.0.0", 8080),
        ("localhost:0", "localhost", 0),
        ("Gateway_1.Internal.:65535", "gateway_1.internal.", 65535),
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, host: str, port: int) -> None:
    assert split_address(address) == (host, port)
    assert split_address(check_address(address)) == (host, port)
    assert check_address(check_address(address)) == check_address(address)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", "the port is missing"),
        ("localhost", "the port is missing"),
        ("8080", "the port is missing"),
        ("localhost:", "a port is a number from 0 to 65535"),
        ("localhost:http", "a port is a number from 0 to 65535"),
        ("localhost:65536", "a port is a number from 0 to 65535"),
        ("localhost:-1", "a port is a number from 0 to 65535"),
        ("localhost:١", "a port is a number from 0 to 65535"),
        ("::1:8080", "an IPv6 host stands in brackets"),
        ("[fe80::1%eth0]:80", "an IPv6 host stands in brackets"),
        ("[::g]:80", "an IPv6 host stands in brackets"),
        ("256.0.0.1:80", "the host is not one"),
        ("10.0.0:80", "the host is not one"),
        ("-a:80", "the host is not one"),
        ("a b:80", "the host is not one"),
        ("a..b:80", "the host is not one"),
        ("http://a:80", "an IPv6 host stands in brackets"),
        ("[127.0.0.1]:80", "the host is not one"),
        ("x" * 64 + ":80", "the host is not one"),
        ("a\n:80", "the host is not one"),
    ],
)
def test_no_address_is_refused_with_the_reason(address: str, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"^expected an address .*\({reason}\), found"):
        check_address(address)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_loopback_hosts(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("a", "b", "collide"),
    [
        pytest.param("127.0.0.1:80", "127.0.0.1:80", True, id="the same address"),
        pytest.param("127.0.0.1:80", "localhost:80", True, id="localhost is 127.0.0.1"),
        pytest.param(":80", "10.0.0.1:80", True, id="every interface holds each"),
        pytest.param("[::]:80", "[::1]:80", True, id="every IPv6 interface holds each"),
        pytest.param("127.0.0.1:80", "127.0.0.1:81", False, id="another port"),
        pytest.param("127.0.0.1:0", "127.0.0.1:0", False, id="any free port"),
        pytest.param("127.0.0.1:80", "10.0.0.1:80", False, id="another interface"),
        pytest.param(":80", "[::]:80", False, id="the two families"),
        pytest.param("unix:///a", "unix:///a", True, id="the same socket"),
        pytest.param("unix:///a", "unix:///b", False, id="another socket"),
        pytest.param("unix:///a", ":80", False, id="a socket and a port"),
    ],
)
def test_overlapping_listeners(a: str, b: str, collide: bool) -> None:
    assert overlap(a, b) is collide
    assert overlap(b, a) is collide


@pytest.mark.parametrize(
    ("endpoint", "usual"),
    [
        ("http://10.0.0.5:8000", "http://10.0.0.5:8000"),
        ("http://Agents.Internal:80/", "http://agents.internal:80"),
        ("http://[0:0::1]:8000", "http://[0:0::1]:8000"),
        ("http://my_agent:8000", "http://my_agent:8000"),
        ("https://Agents.Internal:8443/", "https://agents.internal:8443"),
        ("unix:///run/agent.sock", "unix:///run/agent.sock"),
    ],
)
def test_an_endpoint_has_a_usual_form(endpoint: str, usual: str) -> None:
    assert check_endpoint(endpoint) == usual


@pytest.mark.parametrize(
    ("check", "url", "reason"),
    [
        (check_endpoint, "ftp://a:1", "http, https or unix"),
        (check_endpoint, "a:1", "http, https or unix"),
        (check_endpoint, "HTTP://a:1", "http, https or unix"),
        (check_endpoint, "https://a", "the port is missing"),
        (check_endpoint, "unix:///" + "x" * 107, "a path of at most 107 bytes"),
        (check_listen_address, "unix:///" + "é" * 54, "a path of at most 107 bytes"),
        (check_listen_address, "localhost", "the port is missing"),
        (check_network, "10.0.0.1/8", r"bits are set outside the network; 10.0.0.0/8\?"),
        (check_network, "fe80::1%eth0", "without a zone"),
        (check_endpoint, "http://a", "the port is missing"),
        (check_endpoint, "http://a:", "the port is missing"),
        (check_endpoint, "http://:1", "the host is missing or not one"),
        (check_endpoint, "http://a:0", "a port is a number from 1 to 65535"),
        (check_endpoint, "http://a:x", "a port is a number from 1 to 65535"),
        (check_endpoint, "http://u@a:1", "without user and password"),
        (check_endpoint, "http://a:1/x", "without path and query"),
        (check_endpoint, "http://a:1?", "without path and query"),
        (check_endpoint, "http://a:1#", "without path and query"),
        (check_endpoint, "http://a:1\n", "without blanks"),
        (check_endpoint, "http://10.0.0:1", "the host is missing or not one"),
        (check_url, "ftp://a", "http or https"),
        (check_url, "a:9090", "http or https"),
        (check_url, "http://", "the host is missing or not one"),
        (check_url, "http://a?x", "without query and fragment"),
        (check_url, "http://a b", "without blanks"),
        (check_store_url, "redis://", "the host is missing or not one"),
        (check_store_url, "redis://a:x", "a port is a number from 1 to 65535"),
        (check_store_url, "redis://a/x", "the database is a number"),
    ],
)
def test_no_url_is_refused_with_the_reason(
    check: Callable[[str], str], url: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=rf"^expected .*\({reason}\), found"):
        check(url)


@pytest.mark.parametrize("check", [check_endpoint, check_listen_address])
@pytest.mark.parametrize("address", ["unix://", "unix:///", "unix://a/b", "unix:///a/"])
def test_a_unix_socket_has_an_absolute_path(check: Callable[[str], str], address: str) -> None:
    with pytest.raises(ValueError, match=r"^expected unix:// and the absolute path of a socket"):
        check(address)


@pytest.mark.parametrize(
    ("network", "usual"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:DB8:0::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
        ("unix", "unix"),
    ],
)
def test_a_network_has_a_usual_form(network: str, usual: str) -> None:
    assert check_network(network) == usual


@pytest.mark.parametrize("network", ["", "10.0.0.0/33", "proxy", "10.0.0.0/8/8", "unix:"])
def test_no_network_is_refused(network: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a network such as 10.0.0.0/8"):
        check_network(network)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "256.1.1.1", "::g"])
def test_no_server_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a host name or an IP address"):
        check_server_name(name)


@pytest.mark.parametrize("url", ["", "redis:host", "embeded", "http://a", "http://[", "unix:/a"])
def test_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^expected `embedded` or a URL such as redis://"):
        check_store_url(url)


@pytest.mark.parametrize("url", ["unix://", "unix:///", "unix://a/b"])
def test_a_socket_has_an_absolute_path(url: str) -> None:
    with pytest.raises(ValueError, match=r"^expected unix:// and the absolute path of a socket"):
        check_store_url(url)


def test_a_url_that_cannot_be_split_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^expected a URL such as"):
        check_url("http://[")


@pytest.mark.parametrize(
    "url",
    [
        "embedded",
        "redis://a",
        "redis://user:password@a:6379/0",
        "redis://:p@[::1]:6379/15?timeout=5",
        "rediss://a/1",
        "unix:///run/redis.sock?db=1",
        "unix://user:password@/run/redis.sock",
    ],
)
def test_a_store_is_kept_as_given(url: str) -> None:
    assert check_store_url(url) == url


@pytest.mark.parametrize(
    ("url", "usual"),
    [
        ("http://a", "http://a"),
        ("https://u:p@a:9090/base/", "https://u:p@a:9090/base"),
        ("http://[::1]:9090", "http://[::1]:9090"),
    ],
)
def test_a_url_loses_its_last_slash(url: str, usual: str) -> None:
    assert check_url(url) == usual


@given(st.ip_addresses(), st.integers(0, 65535))
def test_an_address_joined_and_split_is_the_same(address: object, port: int) -> None:
    assert split_address(join_address(str(address), port)) == (str(address), port)


@given(st.text())
def test_any_text_is_checked_or_refused(text: str) -> None:
    checks = (check_address, check_endpoint, check_listen_address, check_network, check_url)
    for check in (*checks, check_store_url):
        try:
            assert check(check(text)) == check(text)
        except ValueError as error:
            assert str(error).startswith("expected ")


@pytest.mark.parametrize(
    ("host", "usual"),
    [("10.0.0.7", "10.0.0.7"), ("GW-1.lan", "gw-1.lan"), ("[2001:DB8::1]", "2001:db8::1")],
)
def test_a_host_that_others_reach(host: str, usual: str) -> None:
    assert check_host(host) == usual


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "[::]", "10.0.0", "a b", "host:80"])
def test_no_host_that_others_reach(host: str) -> None:
    with pytest.raises(ValueError, match="a host name or an IP address that others reach"):
        check_host(host)
