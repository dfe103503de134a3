"""What a request is hashed by when replicas are picked by a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fleet.wire import PoolEntry

if TYPE_CHECKING:
    from router.http.head import RequestHead

KeyOf = Callable[["RequestHead", str], bytes | None]
"""The key of a request from a client's address; None when it has none."""


def replica_key(entry: PoolEntry) -> KeyOf | None:
    """How requests of a pool are hashed to replicas; None: not at all.

    By the session if affinity reaches down to replicas. Under `consistent_hash` by what that is
    set to, else by the session, else by the client's address.
    """
    balancing = entry.balancing
    session = _key(entry.affinity_header, entry.affinity_cookie)
    if entry.balance != "consistent_hash":
        return session if entry.affinity_replica else None
    own = None if balancing.address else _key(balancing.header, balancing.cookie)
    if balancing.address or (own is None and session is None):
        own = _address
    if own is None or session is None or not entry.affinity_replica:
        return own or session
    first, then = session, own
    return lambda head, client: first(head, client) or then(head, client)


def _address(_: RequestHead, client: str) -> bytes:
    return client.encode()


def _key(header: str | None, cookie: str | None) -> KeyOf | None:
    if header is not None:
        field = header.lower().encode()
        return lambda head, _: head.header(field) or None
    if cookie is not None:
        name = cookie.encode()
        return lambda head, _: head.cookie(name) or None
    return None
