"""TLS settings as plain data, and the contexts made of them.

Certificates and keys are PEM texts in memory, never paths: control reads the files, workers only
get what is in them. OpenSSL takes a key pair from a file alone, so it is shown one that exists in
memory only (memfd_create(2)).
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from fleet.errors import HeadraceError
from fleet.x509 import dns_names

ALPN: Final = ("http/1.1",)
ALPN_HTTP2: Final = ("h2", "http/1.1")

_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"
_KEY: Final = "PRIVATE KEY-----"
_VERIFY: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class TlsError(HeadraceError, ValueError):
    """A certificate or key that cannot be used, in words without any of its content."""


class KeyPair(Struct, frozen=True, kw_only=True):
    """A certificate, with those that link it to its authority behind it, and its key, as PEM."""

    cert: str
    key: str

    def __repr__(self) -> str:
        return "KeyPair(...)"


class ServerTls(Struct, frozen=True, kw_only=True):
    """TLS of a listener; see `fleet.config.listeners.ListenerTls`."""

    certificates: tuple[KeyPair, ...]
    client_ca: str | None
    client_auth: str
    min_version: str
    handshake_timeout: float
    http2: bool = False


class ClientTls(Struct, frozen=True, kw_only=True):
    """TLS to the replicas of a version; see `fleet.config.schema.UpstreamTls`."""

    ca: str | None
    server_name: str | None
    verify: bool
    pair: KeyPair | None


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """The context of a listener. Raises TlsError.

    The certificate is the first of those that name the host the client asks for (RFC 6066
    section 3), by itself or by a `*` in place of its first label, else the first of all.
    """
    contexts = [_of_pair(tls, pair) for pair in tls.certificates]
    by_name: dict[str, ssl.SSLContext] = {}
    for context, pair in zip(contexts, tls.certificates, strict=True):
        for name in dns_names(pair.cert):
            by_name.setdefault(name, context)

    def choose(connection: ssl.SSLObject, asked: str | None, _first: ssl.SSLContext) -> None:
        name = (asked or "").lower().rstrip(".")
        chosen = by_name.get(name) or by_name.get("*." + name.partition(".")[2])
        if chosen is not None:
            connection.context = chosen

    first = contexts[0]
    if len(contexts) > 1:
        first.sni_callback = choose
    return first


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """The context of connections to replicas. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(ALPN)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, tls.ca)
    if tls.pair is not None:
        _load(context, tls.pair)
    return context


def check_pair(pair: KeyPair) -> None:
    """Raises TlsError when `pair` is not a certificate with its own key."""
    if _CERTIFICATE not in pair.cert:
        raise TlsError("`cert` holds no certificate in PEM")
    if _KEY not in pair.key:
        raise TlsError("`key` holds no private key in PEM")
    if "ENCRYPTED" in pair.key:
        raise TlsError("`key` is encrypted; give a key without a passphrase")
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), pair)
    try:
        dns_names(pair.cert)
    except ValueError as error:
        raise TlsError(f"`cert` cannot be read: {error}") from error


def check_authorities(pem: str) -> None:
    """Raises TlsError when `pem` does not hold certificates of authorities."""
    _trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), pem)


def _of_pair(tls: ServerTls, pair: KeyPair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(ALPN_HTTP2 if tls.http2 else ALPN)
    context.verify_mode = _VERIFY[tls.client_auth]
    if tls.client_ca is not None:
        _trust(context, tls.client_ca)
    _load(context, pair)
    return context


def _trust(context: ssl.SSLContext, pem: str) -> None:
    try:
        context.load_verify_locations(cadata=pem)
    except (ValueError, ssl.SSLError):
        raise TlsError("no certificates in PEM, or not sound ones") from None


def _load(context: ssl.SSLContext, pair: KeyPair) -> None:
    with _as_file(pair.cert) as cert, _as_file(pair.key) as key:
        try:
            # without a password of our own, OpenSSL would ask for one at the terminal
            context.load_cert_chain(cert, key, password="")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise TlsError("`key` is not the key of `cert`") from None
            raise TlsError(f"`cert` and `key` cannot be used ({error.reason})") from None


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[str]:
    """A path under which `text` can be read, without any disk."""
    with os.fdopen(os.memfd_create("pem", os.MFD_CLOEXEC), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"
