"""Telling when a configuration file, or a secret or certificate it names, has changed.

Directories are watched, not files: editors rename over the old file, and Kubernetes swaps a
symbolic link (`..data`) above it. Every link on the way to a file is followed and watched too.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct
from watchfiles import Change, awatch

from fleet.config.files import files_named

STEP_MS: Final = 20
"""A change is noticed, and its burst taken to be over, after this long without another."""
DEBOUNCE_MS: Final = 50
"""The longest that a burst of changes is gathered."""
_MAX_LINKS: Final = 40
"""Symbolic links followed on the way to one file, as the kernel (path_resolution(7))."""


class _View(Struct, frozen=True):
    """What can be seen of the files at one time."""

    content: str | None
    """Fingerprint of the configuration and the files it names; None: no configuration there."""
    points: frozenset[Path]
    """The paths at which a change may change the content."""


def changes(path: Path, stop: asyncio.Event) -> AsyncIterator[None]:
    """Yield after each change of the content, until `stop` is set.

    The content at the time of the call is taken as known: call it before reading the file, and no
    change is missed. Nothing is yielded while the file is gone, nor when it is written with the
    same content. The iteration raises OSError when the file cannot be watched.
    """
    return _changes(path, _look(path), stop)


async def _changes(path: Path, view: _View, stop: asyncio.Event) -> AsyncIterator[None]:
    known = view.content
    while not stop.is_set():
        view = await _next_view(path, view, stop)
        if view.content is not None and view.content != known:
            known = view.content
            yield


async def _next_view(path: Path, view: _View, stop: asyncio.Event) -> _View:
    """The view after something has changed since `view`, or when `stop` is set."""
    end = asyncio.Event()  # not `stop`: awatch sets its event when it is cancelled
    directories = {point.parent for point in view.points}
    watched = view.points | directories

    def concerns(_change: Change, changed: str) -> bool:
        return Path(changed) in watched

    watch = awatch(
        *directories,
        watch_filter=concerns,
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        stop_event=end,
        recursive=False,
    )
    batch = asyncio.ensure_future(anext(watch, None))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.sleep(0)  # `batch` has now run to its first wait, so the watch is armed
        early = await asyncio.to_thread(_look, path) != view
        # What changed before the watch was armed may be half written, and tells of itself no more.
        patience = DEBOUNCE_MS / 1000 if early else None
        await asyncio.wait({batch, stopped}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if batch.done():
            batch.result()
        return await asyncio.to_thread(_look, path)
    finally:
        end.set()
        stopped.cancel()
        await asyncio.wait({batch, stopped})
        await watch.aclose()


def _look(path: Path) -> _View:
    path = path.absolute()
    content = _read(path)
    files = files_named(content.decode(errors="replace"), path.parent) if content else []
    points = frozenset(point for file in (path, *files) for point in _points(file))
    if content is None:
        return _View(None, points)
    digest = hashlib.sha256(content)
    for file in files:
        digest.update(hashlib.sha256(_read(file) or b"").digest())
    return _View(digest.hexdigest(), points)


def _read(path: Path) -> bytes | None:
    with contextlib.suppress(OSError, ValueError):
        return path.read_bytes()
    return None


def _points(path: Path) -> Iterator[Path]:
    """The paths to watch for `path`: itself and every symbolic link on the way to it.

    Where a directory is missing, the first missing path stands in.
    """
    for _ in range(_MAX_LINKS):
        link = next((p for p in (*reversed(path.parents), path) if p.is_symlink()), None)
        if link is None:
            break
        yield link
        path = link.parent / link.readlink() / path.relative_to(link)
    while not path.parent.is_dir():
        path = path.parent
    yield path
