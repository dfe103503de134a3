"""Who may use the admin API.

With a token, whoever sends it. Without one the API listens on a loopback address only, and is
then reachable by every web page that the host's user opens; so two tricks of a page are refused:

- DNS rebinding: the page's own host name is made to resolve to 127.0.0.1. The browser then sends
  that name in Host, which is neither `localhost` nor a loopback address.
- Cross-site requests: a page posts to http://127.0.0.1:9900. The browser then sends the page's
  Origin, and without asking first (Fetch standard, "CORS-safelisted request-header") it cannot
  send a body as `application/json`.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping

from fleet.config.addresses import is_loopback
from headrace.admin.errors import ApiError

SAFE_METHODS = frozenset({"GET", "HEAD"})


class Guard:
    """The rules in force. `token()` is asked at each request, so a reload may change it.

    ValueError without a token when the address is not a loopback one. Is the token taken away
    later, such an API refuses everything until the next start.
    """

    def __init__(self, token: Callable[[], str | None], *, loopback: bool) -> None:
        if not token() and not loopback:
            raise ValueError("an admin API beyond loopback needs a token")
        self._token = token
        self._loopback = loopback

    def check(
        self, method: str, headers: Mapping[str, str], *, public: bool, has_body: bool
    ) -> None:
        """Raise ApiError unless the request may be handled.

        `headers` is case-insensitive; `public` is True for the probes, which need no token.
        """
        if public:
            return
        token = self._token()
        if token or not self._loopback:
            _check_token(token or "", headers.get("Authorization", ""))
        else:
            _check_site(headers.get("Host"), headers.get("Origin"))
        if has_body and method not in SAFE_METHODS:
            _check_content_type(headers.get("Content-Type", ""))


def is_loopback_host(host: str) -> bool:
    """Whether a Host header names this machine's loopback: `localhost`, 127.0.0.0/8 or ::1."""
    name = host.partition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name)


def _check_site(host: str | None, origin: str | None) -> None:
    """No Host at all is HTTP/1.0, which no browser speaks."""
    if host is not None and not is_loopback_host(host):
        raise ApiError(
            403, "forbidden_host", "without a token, ask for localhost or a loopback address"
        )
    own = None if host is None else f"http://{host}".lower()
    if origin is not None and origin.lower() != own:
        raise ApiError(403, "forbidden_origin", "requests from other sites are refused")


def _check_content_type(value: str) -> None:
    if value.partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "unsupported_media_type", "a body must be application/json")


def _check_token(token: str, authorization: str) -> None:
    scheme, _, credentials = authorization.partition(" ")
    sent = credentials.strip().encode("utf-8", "surrogateescape")
    equal = hmac.compare_digest(sent, token.encode())
    if not token or not equal or scheme.lower() != "bearer":
        message = "a bearer token is needed" if not authorization else "the token is wrong"
        raise ApiError(401, "unauthorized", message, headers={"WWW-Authenticate": "Bearer"})
