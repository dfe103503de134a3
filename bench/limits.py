"""Open files: what this machine lets a process have."""

from __future__ import annotations

import resource


def raise_open_files() -> None:
    """To the hard limit, for us and all that is started."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def most_connections() -> int:
    """Client connections for which every proxy has descriptors: HAProxy sets aside two each."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(16_384, (most - 100) // 2)
