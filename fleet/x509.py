"""The host names a certificate is for. Pure.

A walk over the DER of RFC 5280 section 4.1, as far as the subject's alternative names: the
standard library shows them only for the certificate of a connected peer. DER is the basic
encoding of ITU-T X.690: a tag, a length, the content.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from typing import Final

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_EXTENSIONS: Final = 0xA3
"""`[3] EXPLICIT Extensions` of a TBSCertificate."""
_OCTETS: Final = 0x04
_OBJECT_ID: Final = 0x06
_DNS_NAME: Final = 0x82
"""`[2] IA5String` of a GeneralName."""
_SUBJECT_ALT_NAME: Final = bytes.fromhex("551d11")
"""2.5.29.17."""


def dns_names(pem: str) -> tuple[str, ...]:
    """DNS names of the first certificate in `pem`, in lower case; `*.` stands as it is.

    Raises ValueError when there is no certificate, or none that can be read.
    """
    block = _PEM.search(pem)
    if block is None:
        raise ValueError("no certificate")
    try:
        return tuple(_dns_names(ssl.PEM_cert_to_DER_cert(block[0])))
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("not a certificate") from error


def _dns_names(der: bytes) -> Iterator[str]:
    to_be_signed = _content(_content(der))
    for tag, content in _parts(to_be_signed):
        if tag == _EXTENSIONS:
            for _, extension in _parts(_content(content)):
                fields = dict(_parts(extension))
                if fields[_OBJECT_ID] == _SUBJECT_ALT_NAME:
                    for kind, name in _parts(_content(fields[_OCTETS])):
                        if kind == _DNS_NAME:
                            yield name.decode("ascii").lower()


def _content(der: bytes) -> bytes:
    """Content of the one value in `der`, or of the first."""
    for _, content in _parts(der):
        return content
    raise IndexError


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each value in `der`. Raises IndexError when it is cut short."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[at : at + size])
            at += size
        if at + length > len(der):
            raise IndexError
        yield tag, der[at : at + length]
        at += length
