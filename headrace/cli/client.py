"""Asking a running daemon, over its admin API."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

from fleet.errors import HeadraceError

TIMEOUT: Final = 30.0
"""Seconds; a reload answers when the workers have it."""

_T = TypeVar("_T")


class _Detail(Struct):
    message: str
    details: tuple[str, ...] = ()


class _ErrorBody(Struct):
    """As `headrace.admin.errors` writes it; aiohttp is not imported for its sake."""

    error: _Detail


class UnreachableError(HeadraceError):
    """No daemon answers at the address."""


class RefusedError(HeadraceError):
    """The daemon answered, and refused."""


class AdminClient:
    """`base` is the URL of the admin API, `http://` may be left out. HeadraceError if not one."""

    def __init__(self, base: str, token: str | None = None) -> None:
        self.base = (base if "://" in base else f"http://{base}").rstrip("/")
        parts = urlsplit(self.base)
        try:
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError as error:
            raise HeadraceError(f"{base} is not an address: {error}") from error
        if parts.scheme not in ("http", "https") or not self._host or parts.path:
            raise HeadraceError(f"{base} is not an address such as http://127.0.0.1:9900")
        self._secure = parts.scheme == "https"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, type_: type[_T]) -> _T:
        """GET, decoded. Raises as `call`."""
        return self._decode(self.call("GET", path), type_)

    def change(self, method: str, path: str, type_: type[_T], body: object = None) -> _T:
        """PUT, POST or DELETE, with `body` as JSON unless None, decoded. Raises as `call`."""
        return self._decode(self.call(method, path, body), type_)

    def call(self, method: str, path: str, body: object = None) -> bytes:
        """The body of the reply. Raises UnreachableError, or RefusedError with the reason."""
        data = None if body is None else msgspec.json.encode(body)
        headers = dict(self._headers)
        if data is not None:
            headers["Content-Type"] = "application/json"
        status, reply = self._exchange(method, path, data, headers)
        if status >= 400:
            raise RefusedError(_reason(reply) or f"{self.base}{path} answered {status}")
        return reply

    def _exchange(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=TIMEOUT)
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UnreachableError(
                f"no daemon answers at {self.base} ({reason}); start one with "
                "`headrace run CONFIG`, or name its address with --admin"
            ) from error
        except ValueError as error:
            raise HeadraceError(f"the request cannot be sent: {error}") from error
        finally:
            connection.close()

    def _decode(self, data: bytes, type_: type[_T]) -> _T:
        try:
            return msgspec.json.decode(data, type=type_)
        except msgspec.DecodeError as error:
            raise RefusedError(
                f"{self.base} answers, but not as this release of headrace does: {error}"
            ) from error


def segment(name: str) -> str:
    """`name` as one segment of a path."""
    return quote(name, safe="")


def _reason(reply: bytes) -> str:
    try:
        detail = msgspec.json.decode(reply, type=_ErrorBody).error
    except msgspec.DecodeError:
        return ""
    return "\n".join([detail.message, *detail.details])
