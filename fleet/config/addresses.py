"""Addresses and URLs: checked when the configuration is read, kept in one normal form.

The checks return the normal form and raise ExpectedError, a ValueError, otherwise.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from fleet.config.expected import ExpectedError

ALL_INTERFACES: Final = "0.0.0.0"
"""What an address without a host stands for: every IPv4 interface."""
UNIX: Final = "unix://"
"""Before the absolute path of a Unix socket."""
UNIX_PEERS: Final = "unix"
"""Among networks: every peer on a Unix socket."""
MAX_UNIX_PATH: Final = 107
"""Bytes of a socket's path (unix(7): `sun_path` has 108, the last is NUL)."""
EMBEDDED: Final = "embedded"
"""The store URL of the private server."""

_AN_ADDRESS: Final = "an address such as 127.0.0.1:8080, [::1]:8080 or :8080"
_A_LISTENER: Final = f"{_AN_ADDRESS}, or unix:///path"
_AN_ENDPOINT: Final = "an endpoint such as http://10.0.0.5:8000"
_A_NETWORK: Final = "a network such as 10.0.0.0/8 or 2001:db8::/32, an address, or `unix`"
_A_SERVER_NAME: Final = "a host name or an IP address"
_A_URL: Final = "a URL such as http://127.0.0.1:9090"
_A_STORE: Final = "`embedded` or a URL such as redis://host:6379/0, rediss://... or unix:///path"

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_BLANK: Final = re.compile(r"[\x00-\x20\x7f]")


def split_address(address: str) -> tuple[str, int]:
    """Host (without brackets) and port of an address. Raises ExpectedError."""
    host, colon, port = address.rpartition(":")
    if not colon:
        raise ExpectedError(f"{_AN_ADDRESS} (the port is missing)", address)
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise ExpectedError(f"{_AN_ADDRESS} (a port is a number from 0 to 65535)", address)
    if not host:
        return ALL_INTERFACES, int(port)
    if host.startswith("[") and host.endswith("]") and _is_ipv6(host[1:-1]):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port)
    if ":" in host:
        raise ExpectedError(f"{_AN_ADDRESS} (an IPv6 host stands in brackets)", address)
    if not _is_host(host):
        raise ExpectedError(f"{_AN_ADDRESS} (the host is not one)", address)
    return host.lower(), int(port)


def join_address(host: str, port: int) -> str:
    """The inverse of `split_address`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_address(address: str) -> str:
    """An address to listen on: `host:port`, `[ipv6]:port` or `:port` (every IPv4 interface).

    Port 0 stands for any free port.
    """
    return join_address(*split_address(address))


def check_host(host: str) -> str:
    """A host name or an IP address, without brackets, that others can dial: none that stands for
    all addresses of a host.
    """
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if _is_ipv6(bare):
        bare = str(ipaddress.IPv6Address(bare))
    elif not _is_host(bare):
        bare = ALL_INTERFACES
    if bare in (ALL_INTERFACES, "::"):
        raise ExpectedError("a host name or an IP address that others reach", host)
    return bare.lower()


def is_unix(address: str) -> bool:
    """Whether an address or endpoint is a Unix socket."""
    return address.startswith(UNIX)


def unix_path(address: str) -> str | None:
    """The path of a `unix://` address or endpoint; None for another."""
    return address.removeprefix(UNIX) if is_unix(address) else None


def check_listen_address(address: str) -> str:
    """An address for clients: as `check_address`, or `unix://` and an absolute path."""
    if is_unix(address):
        return _check_unix(address)
    try:
        return check_address(address)
    except ExpectedError as error:
        raise ExpectedError(error.expected.replace(_AN_ADDRESS, _A_LISTENER), address) from None


def check_network(network: str) -> str:
    """A network in CIDR notation, an address alone for itself, or `unix`."""
    if network == UNIX_PEERS:
        return network
    try:
        usual = ipaddress.ip_network(network, strict=False)
    except ValueError:
        raise ExpectedError(_A_NETWORK, network) from None
    if "%" in network:
        raise ExpectedError(f"{_A_NETWORK} (without a zone)", network)
    if usual.network_address != ipaddress.ip_address(network.partition("/")[0]):
        raise ExpectedError(f"{_A_NETWORK} (bits are set outside the network; {usual}?)", network)
    return str(usual)


def check_server_name(name: str) -> str:
    """A name as a certificate may have it."""
    if not (_is_host(name) or _is_ipv6(name)):
        raise ExpectedError(_A_SERVER_NAME, name)
    return name


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to `host`: `localhost` or a loopback IP address."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def overlap(a: str, b: str) -> bool:
    """Whether two addresses cannot be listened on at once. Port 0 never overlaps.

    IPv6 listeners do not take IPv4 connections, so the two families are apart; so are sockets
    with a path.
    """
    if is_unix(a) or is_unix(b):
        return a == b
    (host_a, port_a), (host_b, port_b) = split_address(a), split_address(b)
    if port_a != port_b or port_a == 0:
        return False
    hosts = {"127.0.0.1" if host == "localhost" else host for host in (host_a, host_b)}
    if len(hosts) == 1:
        return True
    families = {":" in host for host in hosts}
    return len(families) == 1 and not hosts.isdisjoint({ALL_INTERFACES, "::"})


def check_endpoint(endpoint: str) -> str:
    """Where a replica is: `http://host:port`, `https://host:port` or `unix:///path`.

    A lone final `/` behind a port is dropped.
    """
    scheme = _scheme(endpoint)
    if scheme == "unix":
        return _check_unix(endpoint)
    if scheme not in ("http", "https"):
        raise ExpectedError(f"{_AN_ENDPOINT} (http, https or unix)", endpoint)
    parts = _split_url(endpoint, _AN_ENDPOINT)
    if "@" in parts.netloc:
        raise ExpectedError(f"{_AN_ENDPOINT} (without user and password)", endpoint)
    if parts.path not in ("", "/") or "?" in endpoint or "#" in endpoint:
        raise ExpectedError(f"{_AN_ENDPOINT} (without path and query)", endpoint)
    if not parts.port:
        raise ExpectedError(f"{_AN_ENDPOINT} (the port is missing)", endpoint)
    return f"{scheme}://{join_address(_host(parts), parts.port)}"


def check_url(url: str) -> str:
    """The base URL of an HTTP service: http or https; a path is allowed, a query is not."""
    if _scheme(url) not in ("http", "https"):
        raise ExpectedError(f"{_A_URL} (http or https)", url)
    _split_url(url, _A_URL)
    if "?" in url or "#" in url:
        raise ExpectedError(f"{_A_URL} (without query and fragment)", url)
    return url.rstrip("/")


def check_store_url(url: str) -> str:
    """`embedded`, `redis://host[:port][/db]`, `rediss://` alike, or `unix:///path`."""
    if url == EMBEDDED:
        return url
    scheme = _scheme(url)
    if scheme == "unix":
        parts = _split(url, _A_STORE)
        if parts.hostname or not parts.path.startswith("/") or parts.path == "/":
            raise ExpectedError("unix:// and the absolute path of a socket", url)
        return url
    if scheme not in ("redis", "rediss"):
        raise ExpectedError(_A_STORE, url)
    parts = _split_url(url, _A_STORE)
    database = parts.path.removeprefix("/")
    if database and not (database.isascii() and database.isdecimal()):
        raise ExpectedError(f"{_A_STORE} (the database is a number)", url)
    return url


def _check_unix(address: str) -> str:
    path = address.removeprefix(UNIX)
    if not path.startswith("/") or path.endswith("/"):
        raise ExpectedError("unix:// and the absolute path of a socket", address)
    if len(path.encode()) > MAX_UNIX_PATH:
        most = f"a path of at most {MAX_UNIX_PATH} bytes"
        raise ExpectedError(f"unix:// and the absolute path of a socket ({most})", address)
    return address


def _scheme(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    return scheme if separator else ""


def _split_url(url: str, expected: str) -> SplitResult:
    """The parts of a URL whose host and port are sound."""
    parts = _split(url, expected)
    try:
        port = parts.port
    except ValueError:
        raise ExpectedError(f"{expected} (a port is a number from 1 to 65535)", url) from None
    if port == 0:
        raise ExpectedError(f"{expected} (a port is a number from 1 to 65535)", url)
    host = _host(parts)
    if not (_is_ipv6(host) if ":" in host else _is_host(host)):
        raise ExpectedError(f"{expected} (the host is missing or not one)", url)
    return parts


def _split(url: str, expected: str) -> SplitResult:
    if _BLANK.search(url):
        raise ExpectedError(f"{expected} (without blanks)", url)
    try:
        return urlsplit(url)
    except ValueError:
        raise ExpectedError(expected, url) from None


def _host(parts: SplitResult) -> str:
    return parts.hostname or ""


def _is_host(host: str) -> bool:
    """Whether `host` is a name, or an IPv4 address; digits and dots alone must be the latter."""
    if host.replace(".", "").isdigit():
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            return False
        return True
    return _HOST_NAME.fullmatch(host) is not None


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.IPv6Address(host).scope_id is None
    except ValueError:
        return False
