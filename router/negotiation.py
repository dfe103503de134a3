"""Which version of HTTP a client speaks: it is agreed on in TLS (ALPN; RFC 9113 section 3.2)."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from router.http.connection import as_protocol
from router.http.downstream import Downstream
from router.http2.connection import Connection
from router.plane import Plane


def client_protocol(plane: Plane, client: str | None, *, tls: bool) -> asyncio.BaseProtocol:
    """The protocol of a new client; `client` stands for the address of its peer if given."""
    return Negotiated(plane, client) if tls else as_protocol(Downstream(plane, client))


class Negotiated(asyncio.Protocol):
    """Stands for a client until TLS is established, and gives way to its protocol."""

    def __init__(self, plane: Plane, client: str | None = None) -> None:
        """`client` stands for the address of the transport's peer if given."""
        self._plane = plane
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop (`asyncio.Protocol`)."""
        tls = cast(ssl.SSLObject, transport.get_extra_info("ssl_object"))
        kind = Connection if tls.selected_alpn_protocol() == "h2" else Downstream
        protocol = as_protocol(kind(self._plane, self._client))
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
