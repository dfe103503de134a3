"""A configuration file as data, with the place and the text of every value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from msgspec import Struct

Data: TypeAlias = "bool | int | float | str | list[Data] | dict[str, Data] | None"
Path: TypeAlias = tuple[str | int, ...]
"""Keys and list indices from the top to a value."""
Kind: TypeAlias = Literal["mapping", "list", "text", "integer", "number", "boolean", "null"]

_LONGEST_SHOWN: Final = 60
_USER_INFO: Final = re.compile(r"://[^/@\s]*@")
_PRIVATE_KEYS: Final = frozenset({"env", "token"})
"""Values at and below these keys are never shown."""
_UNFIT: Final = re.compile("[\x00\ud800-\udfff]")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


class Position(Struct, frozen=True):
    """A place in the file; both from 1."""

    line: int
    column: int


class Finding(Struct, frozen=True):
    """Something wrong with the value at `path`."""

    path: Path
    message: str
    at: Position | None = None
    """None: where the document has `path`."""


class Entry(Struct, frozen=True, kw_only=True):
    """One value as it stands in the file."""

    kind: Kind
    text: str
    """A scalar as written, without quotes; empty for a mapping or a list."""
    quoted: bool
    key: Position | None
    """Where its key stands; None for the items of a list and for the top."""
    value: Position


class Document(Struct, frozen=True):
    """The data of a file, and the entry of each path in it."""

    data: Data
    entries: Mapping[Path, Entry]

    def nearest(self, path: Path) -> Path:
        """The longest start of `path` that stands in the file."""
        while path and path not in self.entries:
            path = path[:-1]
        return path

    def kind(self, path: Path) -> str:
        """Kind of the value at `path`; empty when nothing stands there."""
        entry = self.entries.get(path)
        return "" if entry is None else entry.kind

    def position(self, path: Path) -> Position:
        """Where to look for `path`: a scalar itself, the key of anything that has parts.

        What does not stand in the file is looked for at its nearest parent.
        """
        entry = self.entries[self.nearest(path)]
        if entry.key is not None and entry.kind in ("mapping", "list", "null"):
            return entry.key
        return entry.value

    def key_position(self, path: Path) -> Position:
        """Where the key of `path` stands; for what has no key, `position`."""
        entry = self.entries.get(path)
        return self.position(path) if entry is None or entry.key is None else entry.key

    def private(self, path: Path) -> bool:
        """Whether the value at `path` may be a secret even when it is not written as one."""
        return not _PRIVATE_KEYS.isdisjoint(path)

    def shown(self, path: Path) -> str:
        """The value at `path` as an error may show it: as written, never a secret."""
        entry = self.entries[self.nearest(path)]
        if entry.kind == "mapping":
            return "a mapping"
        if entry.kind == "list":
            return "a list"
        if entry.kind == "null":
            return "nothing"
        if self.private(path):
            return f"a {entry.kind}" if entry.kind != "integer" else "an integer"
        text = _USER_INFO.sub("://***@", entry.text)
        if len(text) > _LONGEST_SHOWN:
            text = text[:_LONGEST_SHOWN] + "..."
        return repr(text) if entry.kind == "text" else text


def unfit_character(text: str) -> str | None:
    """A character of `text` that no setting may have, as `U+0000`.

    These are NUL, which no path or argument can hold, and lone surrogates, which have no UTF-8.
    """
    match = _UNFIT.search(text)
    return f"U+{ord(match[0]):04X}" if match else None


def without_unfit(text: str) -> str:
    """`text` with U+FFFD in place of every unfit character."""
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)


def show_path(path: Path) -> str:
    """`pools.support.versions.v2`, `routes[0].pool`; keys with other characters in quotes."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += f".{key}" if _PLAIN_KEY.fullmatch(key) else f".{key!r}"
    return text.removeprefix(".")
