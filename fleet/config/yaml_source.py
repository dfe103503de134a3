"""YAML text to a `Document`: strict, with positions, and safe for any input.

PyYAML composes the nodes; the values are built here, because its constructor drops positions,
lets the last of two equal keys win, and knows types that no setting has.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fleet.config.document import (
    Data,
    Document,
    Entry,
    Finding,
    Kind,
    Path,
    Position,
    unfit_character,
    without_unfit,
)

MAX_DEPTH: Final = 50
"""Levels of nesting; a configuration has 9."""
MAX_VALUES: Final = 50_000
"""Values once aliases are written out, so that a few nested aliases cannot fill the memory."""

_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = f"{_TAG}merge"
_SCALARS: Final[dict[str, Kind]] = {
    f"{_TAG}bool": "boolean",
    f"{_TAG}float": "number",
    f"{_TAG}int": "integer",
    f"{_TAG}null": "null",
    f"{_TAG}str": "text",
    f"{_TAG}value": "text",
}
_MINIMAL: Final = '{routes: [{pool: main}], pools: {main: {driver: {static: {endpoints: ["http://127.0.0.1:8000"]}}}}}'

_constructor = SafeConstructor()
_CONSTRUCT: Final[dict[Kind, Callable[[ScalarNode], Any]]] = {
    "boolean": _constructor.construct_yaml_bool,
    "integer": _constructor.construct_yaml_int,
    "null": _constructor.construct_yaml_null,
    "number": _constructor.construct_yaml_float,
    "text": _constructor.construct_scalar,
}

_Pair = tuple[ScalarNode, Node]


class SourceError(Exception):
    """The text cannot be read on: not YAML, or not one bounded document."""

    def __init__(self, message: str, position: Position | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


def parse(text: str) -> tuple[Document, list[Finding]]:
    """The document of `text`, and what in it is wrong already.

    A value that is wrong is in the data as its text. Raises SourceError.
    """
    root = _compose(text)
    reader = _Reader()
    try:
        data = reader.value(root, (), None)
    except RecursionError:
        raise SourceError(f"nested deeper than {MAX_DEPTH} levels") from None
    return Document(data, reader.entries), reader.findings


def _compose(text: str) -> Node:
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        found = f"the character U+{ord(text[error.position]):04X}"
        raise SourceError(f"{found} is not allowed in YAML", Position(line, column)) from None
    try:
        root = loader.get_node() if loader.check_node() else None
        if root is None:
            raise SourceError(f"the file is empty; a minimal one is {_MINIMAL}")
        if loader.check_node():
            second = loader.get_node()
            message = "a second document begins here; a file has one"
            raise SourceError(message, None if second is None else _position(second))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "not YAML"
        where = Position(mark.line + 1, mark.column + 1) if mark else None
        raise SourceError(f"not valid YAML: {problem}", where) from None
    except RecursionError:
        raise SourceError(f"nested deeper than {MAX_DEPTH} levels") from None
    finally:
        loader.dispose()
    return root


class _Reader:
    """Builds the data of a node tree, and collects entries and findings on the way."""

    def __init__(self) -> None:
        self.entries: dict[Path, Entry] = {}
        self.findings: list[Finding] = []
        self._left = MAX_VALUES

    def value(self, node: Node, path: Path, key: Position | None) -> Data:
        self._count(node, len(path))
        if isinstance(node, MappingNode):
            self._enter(path, node, "mapping", key)
            self._no_tag(node, path)
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            self._enter(path, node, "list", key)
            self._no_tag(node, path)
            return [self.value(item, (*path, i), None) for i, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return self._scalar(node, path, key)

    def _mapping(self, node: MappingNode, path: Path) -> Data:
        data: dict[str, Data] = {}
        for key, value in self._pairs(node, path):
            at, name = _position(key), without_unfit(key.value)
            if _SCALARS.get(key.tag) != "text":
                message = f"a key must be text; write it in quotes: {json.dumps(name)}"
                self._find((*path, name), message, at)
            if unfit := unfit_character(key.value):
                self._find((*path, name), f"the character {unfit} is not allowed", at)
            data[name] = self.value(value, (*path, name), at)
        return data

    def _pairs(self, node: MappingNode, path: Path, level: int = 0) -> Iterator[_Pair]:
        """Keys and values, those of merge keys (`<<`) last and only where not given already."""
        seen: dict[str, ScalarNode] = {}
        merges: list[Node] = []
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._find(path, "a key must be text, not a mapping or a list", _position(key))
            elif key.tag == _MERGE:
                merges.append(value)
            elif key.value in seen:
                first = seen[key.value].start_mark.line + 1
                message = f"the key is given twice, first on line {first}"
                self._find((*path, key.value), message, _position(key))
            else:
                seen[key.value] = key
                yield key, value
        for merge in merges:
            for key, value in self._merged(merge, path, level + 1):
                if key.value not in seen:
                    seen[key.value] = key
                    yield key, value

    def _merged(self, node: Node, path: Path, level: int) -> Iterator[_Pair]:
        """The pairs that the value of a merge key stands for; of equal keys the first counts."""
        for source in node.value if isinstance(node, SequenceNode) else [node]:
            self._count(source, len(path) + level)
            if isinstance(source, MappingNode):
                yield from self._pairs(source, path, level)
            else:
                message = "`<<` takes a mapping or a list of mappings"
                self._find(path, message, _position(source))

    def _scalar(self, node: ScalarNode, path: Path, key: Position | None) -> Data:
        kind = _SCALARS.get(node.tag)
        value: bool | int | float | str | None = None
        try:
            value = _CONSTRUCT[kind](node) if kind else None
        except (ValueError, LookupError):
            kind = None
        self._enter(path, node, kind or "text", key)
        if kind is None:
            what = node.tag.removeprefix(_TAG)
            self._find(path, f"YAML reads this as a value of type {what!r}; write it in quotes")
            return without_unfit(node.value)
        if isinstance(value, float) and not math.isfinite(value):
            self._find(path, "a number must be finite")
            return 0.0
        if isinstance(value, str) and (unfit := unfit_character(value)):
            self._find(path, f"the character {unfit} is not allowed")
            return without_unfit(value)
        return value

    def _no_tag(self, node: Node, path: Path) -> None:
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            self._find(path, f"the tag {node.tag.removeprefix(_TAG)!r} is not allowed")

    def _enter(self, path: Path, node: Node, kind: Kind, key: Position | None) -> None:
        self.entries[path] = Entry(
            kind=kind,
            text=node.value if isinstance(node, ScalarNode) else "",
            quoted=isinstance(node, ScalarNode) and node.style is not None,
            key=key,
            value=_position(node),
        )

    def _find(self, path: Path, message: str, at: Position | None = None) -> None:
        self.findings.append(Finding(path, message, at))

    def _count(self, node: Node, depth: int) -> None:
        self._left -= 1
        if self._left < 0:
            raise SourceError(f"more than {MAX_VALUES} values; are aliases nested?")
        if depth > MAX_DEPTH:
            raise SourceError(f"nested deeper than {MAX_DEPTH} levels", _position(node))


def _position(node: Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)
