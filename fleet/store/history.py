"""Reading the journal back: the newest records of a stream, together with those yet unsent."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Final, TypeVar

import msgspec

from fleet.model import Decision, Event
from fleet.store.journal import Record

PAGE: Final = 500

Page = Sequence[tuple[bytes, dict[bytes, bytes]]]
"""Entries of a stream: id, fields."""
_B = TypeVar("_B", Decision, Event)


async def newest(
    read: Callable[[str, int], Awaitable[Page]],
    decoder: msgspec.json.Decoder[_B],
    unsent: Collection[Record],
    keep: Callable[[_B], bool],
    limit: int,
) -> list[_B]:
    """Up to `limit` bodies that `keep` accepts, newest first: `unsent` ones, then page by page
    what `read(before, count)` gives. Raises what `read` raises.
    """
    found = bodies(unsent, decoder, keep)
    before = "+"
    while len(found) < limit:
        page = await read(before, PAGE)
        found.update((id_, body) for id_, body in _decoded(page, decoder) if keep(body))
        if len(page) < PAGE:
            break
        before = "(" + page[-1][0].decode()
    return sorted(found.values(), key=lambda body: body.at, reverse=True)[:limit]


def bodies(
    records: Collection[Record], decoder: msgspec.json.Decoder[_B], keep: Callable[[_B], bool]
) -> dict[str, _B]:
    """Those of the decoder's type that `keep` accepts, by record id."""
    return {r.id: r.body for r in records if isinstance(r.body, decoder.type) and keep(r.body)}


def _decoded(page: Page, decoder: msgspec.json.Decoder[_B]) -> Iterator[tuple[str, _B]]:
    """Entries of a stream with their record ids; what no version of this model wrote is skipped."""
    for _, fields in page:
        with contextlib.suppress(KeyError, UnicodeDecodeError, msgspec.MsgspecError):
            yield fields[b"id"].decode(), decoder.decode(fields[b"json"])
