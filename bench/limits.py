"""Open files: what this machine lets a process have."""

from __future__ import annotations

import contextlib
import resource

ENOUGH = 65_536
"""For 16,384 connections through any of the proxies."""


def raise_open_files() -> None:
    """To the hard limit, for us and all that is started; to `ENOUGH` where we may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        if most != resource.RLIM_INFINITY and most < ENOUGH:
            resource.setrlimit(resource.RLIMIT_NOFILE, (ENOUGH, ENOUGH))
            return
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def most_connections() -> int:
    """Client connections for which every proxy has descriptors, and a few thousand to upstreams."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(16_384, most - 3600)
