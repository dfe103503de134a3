"""Counting TLS handshakes with clients that came to nothing.

The loop tells a protocol of a connection only once its handshake is done, so failures are seen
where it drives them, in the `SSLObject` of each connection (`SSLContext.sslobject_class`).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable


def count_failures(context: ssl.SSLContext, failed: Callable[[], None]) -> None:
    """Call `failed` once for each handshake of `context` that ends in an error, and for each
    that is still under way when its connection is let go: closed by the client, or timed out.
    """

    class Handshake(ssl.SSLObject):
        over = False

        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except ssl.SSLWantReadError:
                raise
            except ssl.SSLError:
                self.over = True
                failed()
                raise
            self.over = True

        def __del__(self) -> None:
            if not self.over:
                failed()

    context.sslobject_class = Handshake
