"""The two connections of an exchange, as it sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fleet.wire import TimeoutsEntry
from router.errors import Refusal
from router.http.reply import ReplyHead
from router.peer import Peer

if TYPE_CHECKING:
    from router.http.exchange import Exchange
    from router.http.phase import Phase


class DownstreamPort(Protocol):
    """The client's connection, as an exchange sees it."""

    peer: Peer
    paused: bool
    """The client does not take bytes fast enough."""

    def send_head(self, head: ReplyHead, extra: bytes) -> None:
        """Pass on a reply's head, with further header lines."""
        ...

    def send_body(self, data: bytes) -> None:
        """Pass on a piece of the reply's body."""
        ...

    def send_end(self, trailers: bytes) -> None:
        """The reply is whole but for these trailer lines."""
        ...

    def send_interim(self, head: ReplyHead) -> None:
        """Pass on a 1xx reply."""
        ...

    def open_tunnel(self, head: ReplyHead, extra: bytes) -> None:
        """Pass on 101, with further header lines; what comes is no HTTP from here on."""
        ...

    def send_tunnelled(self, data: bytes) -> None:
        """Pass on bytes behind a switch of protocols."""
        ...

    def close_tunnel(self) -> None:
        """The replica has ended the tunnel."""
        ...

    def send_refusal(self, refusal: Refusal, request_id: bytes) -> int:
        """Answer instead of a replica; gives the bytes of the body."""
        ...

    def truncate(self) -> None:
        """Cut the reply short so that the client cannot take it for whole."""
        ...

    def hold(self, on: bool) -> None:
        """Stop or go on reading the request's body."""
        ...

    def exchange_done(self, exchange: Exchange) -> None:
        """The exchange is over; the connection may go on to the next."""
        ...


class ClientPort(Protocol):
    """A client's connection, as the worker sees it when it stops."""

    def drain(self) -> None:
        """Close when idle, or with the replies that are on their way. Called more than once."""
        ...

    def abandon(self) -> None:
        """The worker's time is over: end now, and not cleanly if a reply is under way."""
        ...


class Caller(Protocol):
    """Who is told of a connection to a replica and of the reply on it."""

    phase: Phase
    timeouts: TimeoutsEntry
    """Of its route."""
    bytes_out: int
    """Of the reply's body so far."""

    def connected(self, upstream: UpstreamPort) -> None:
        """A connection is there, new or kept."""
        ...

    def connect_failed(self, error: str) -> None:
        """No connection could be made."""
        ...

    def reply_interim(self, head: ReplyHead) -> None:
        """A 1xx reply has come."""
        ...

    def reply_head(self, head: ReplyHead) -> None:
        """The head of the final reply has come, or 101."""
        ...

    def reply_body(self, data: bytes) -> None:
        """A piece of the reply's body has come."""
        ...

    def chunk_gap(self, seconds: float) -> None:
        """So long after a part of the reply's body has another come."""
        ...

    def reply_end(self, trailers: bytes) -> None:
        """The reply is whole but for these trailer lines."""
        ...

    def tunnel_out(self, data: bytes) -> None:
        """The replica has sent bytes through the tunnel."""
        ...

    def upstream_lost(self, code: str, message: str, *, status: int = 502) -> None:
        """The connection ended, or broke the rules, before the reply was whole."""
        ...

    def upstream_paused(self, on: bool) -> None:
        """The replica has stopped, or begun again, to take bytes."""
        ...

    def fail(self, refusal: Refusal) -> None:
        """Something other than the replica went wrong."""
        ...


class UpstreamPort(Protocol):
    """A connection to a replica, as an exchange sees it."""

    reused: bool

    def send(self, exchange: Exchange, now: float) -> None:
        """Send the request's head, now (monotonic seconds); the connection is the exchange's until
        its reply ends.
        """
        ...

    def hand_over(self, caller: Caller) -> None:
        """Tell `caller` of the reply from here on."""
        ...

    def send_body(self, data: bytes) -> None:
        """Send a piece of the request's body."""
        ...

    def send_end(self, trailers: bytes) -> None:
        """The request is whole but for these trailer lines."""
        ...

    def send_tunnelled(self, data: bytes) -> None:
        """Pass on bytes behind a switch of protocols."""
        ...

    def hold(self, on: bool) -> None:
        """Stop or go on reading the reply."""
        ...

    def keep(self) -> None:
        """The reply is whole: keep the connection for another exchange if it can be."""
        ...

    def abort(self) -> None:
        """Close at once: the reply is not wanted any more."""
        ...

    def close(self) -> None:
        """Close a kept connection, or a tunnel, once what is written is out."""
        ...
