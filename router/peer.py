"""Who sends requests on a connection, and what replicas are told of it.

What a client says of itself in `X-Forwarded-*`, `Forwarded`, `X-Real-IP` and their like, and in
`X-Request-Id`, counts for nothing, unless its address is among the trusted proxies: then it is
kept, and `X-Forwarded-For` and `Forwarded` grow by the proxy's own address (RFC 7239).
`X-Forwarded-Client-Cert` is only ever what TLS has shown here.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import re
import ssl
from collections.abc import Iterator, Sequence
from typing import Any, Final

from router.http.head import RequestHead
from router.http.names import CLAIMS

UNIX: Final = "unix"
"""Stands for the address of every client on a Unix socket."""

_BLANKS: Final = b" \t"
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9:/._~@%*-]+")
_ATTRIBUTES: Final = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
"""Short names of RFC 4514 section 3."""


class TrustedProxies:
    """The networks whose word is taken, in CIDR notation, and `unix`."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._unix = UNIX in networks
        self._networks = [ipaddress.ip_network(n) for n in networks if n != UNIX]

    def __contains__(self, client: str) -> bool:
        if client == UNIX:
            return self._unix
        if not self._networks:
            return False
        address = ipaddress.ip_address(client.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


class Peer:
    """The other end of a client's connection."""

    __slots__ = ("_always", "_extension", "_proto", "client", "trusted")

    def __init__(
        self, client: str, *, tls: bool = False, trusted: bool = False, certificate: bytes = b""
    ) -> None:
        self.client = client
        """An IP address, or `unix`."""
        self.trusted = trusted
        self._extension = b", " + _forwarded_node(client)
        self._proto = b"https" if tls else b"http"
        self._always = b"X-Forwarded-Client-Cert: %b\r\n" % certificate if certificate else b""
        if not trusted:
            self._always += (
                b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: "
                % (client.encode(), self._proto)
            )

    def forwarded(self, head: RequestHead) -> bytes:
        """Header lines that tell a replica whom it serves."""
        if not self.trusted:
            return b"%b%b\r\n" % (self._always, head.authority)
        hops = [v.strip(_BLANKS) for k, v in head.headers if k == b"x-forwarded-for"]
        claims = [
            b"%b: %b%b\r\n" % (k, v, self._extension if k == b"forwarded" else b"")
            for k, v in head.headers
            if k in CLAIMS
        ]
        return b"%b%bX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n" % (
            self._always,
            b"".join(claims),
            b", ".join([*filter(None, hops), self.client.encode()]),
            head.header(b"x-forwarded-proto") or self._proto,
            head.header(b"x-forwarded-host") or head.authority,
        )


def peer_of(
    transport: asyncio.BaseTransport, trusted: TrustedProxies, client: str | None = None
) -> Peer:
    """The peer of a connection; `client` stands for the transport's own address if given."""
    if client is None:
        address = transport.get_extra_info("peername")
        client = address[0] if isinstance(address, tuple) else UNIX
    connection: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    return Peer(
        client,
        tls=connection is not None,
        trusted=client in trusted,
        certificate=b"" if connection is None else _shown_certificate(connection),
    )


def _forwarded_node(client: str) -> bytes:
    """The client as a `Forwarded` field names it (RFC 7239 section 6)."""
    if client == UNIX:
        return b"for=unknown"
    return (f'for="[{client}]"' if ":" in client else f"for={client}").encode()


def _shown_certificate(connection: ssl.SSLObject) -> bytes:
    """The client's certificate, verified by TLS, in the form of Envoy's header of that name:
    `Hash=...;Subject="...";URI=...;DNS=...`; empty when it has shown none.
    """
    der = connection.getpeercert(binary_form=True)
    fields: Any = connection.getpeercert()
    if not der or not fields:
        return b""
    parts = [f"Hash={hashlib.sha256(der).hexdigest()}"]
    parts.append(f'Subject="{distinguished_name(fields.get("subject", ()))}"')
    for kind, name in fields.get("subjectAltName", ()):
        if kind in ("URI", "DNS") and _PLAIN_NAME.fullmatch(name):
            parts.append(f"{kind}={name}")
    return ";".join(parts).encode("ascii")


def distinguished_name(subject: Sequence[Sequence[tuple[str, str]]]) -> str:
    """A subject, as `ssl` gives it, as text of RFC 4514: the last part first.

    What has a meaning there or in a header, and what is not printable ASCII, is written as
    `\\` and two hexadecimal digits for each byte of its UTF-8.
    """
    return ",".join(
        "+".join(f"{_ATTRIBUTES.get(key, key)}={''.join(_escaped(value))}" for key, value in part)
        for part in reversed(subject)
    )


def _escaped(value: str) -> Iterator[str]:
    last = len(value) - 1
    for index, character in enumerate(value):
        edge = character in " #" and index in (0, last)
        if " " <= character <= "~" and character not in '"+,;<=>\\' and not edge:
            yield character
        else:
            yield "".join(f"\\{byte:02X}" for byte in character.encode("utf-8", "replace"))
