"""Changing values in a YAML text and nothing else of it: comments and layout stay. Pure.

A value is found by the positions that PyYAML's nodes have, and written over. What is not there yet
is put behind the last entry of its mapping, in the mapping's own style. Each change is made in the
text that the one before left, so that two may share a new parent.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterable, Sequence
from typing import Final

import yaml
from msgspec import Struct
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode


class Edit(Struct, frozen=True):
    """A key below the root, and its new value as it stands in YAML.

    `signals.router`, say, is the first entry of the list `signals` that has a key `router`.
    """

    path: tuple[str, ...]
    value: str


BOM: Final = "\ufeff"


class UneditableError(Exception):
    """The text has not the form in which a value could be put there."""


def edited(text: str, edits: Iterable[Edit]) -> str:
    """`text` with all changes. Raises UneditableError."""
    for edit in edits:
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise UneditableError(str(error)) from error
        if root is None:
            raise UneditableError("the text is empty")
        text = _put(text, root, edit.path, edit.value)
    return text


def dressed(plain: str, like: str) -> str:
    """`plain`, which has bare line ends, with the byte order mark and the line ends of `like`."""
    mark = BOM if like.startswith(BOM) else ""
    return mark + plain.replace("\n", "\r\n" if "\r\n" in like else "\n")


def undressed(text: str) -> str:
    """The reverse of `dressed`. Raises UneditableError for a text of two kinds of line ends."""
    plain = text.removeprefix(BOM).replace("\r\n", "\n")
    if dressed(plain, text) != text:
        raise UneditableError("its lines end in two ways")
    return plain


def unified(before: str, after: str, file: str) -> str:
    """The difference as `patch` takes it."""
    lines = difflib.unified_diff(_lines(before), _lines(after), file, file)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _lines(text: str) -> list[str]:
    """As `patch` parts them: other separators than the newline are within a line."""
    return io.StringIO(text, newline="\n").readlines()


def _put(text: str, node: Node, path: Sequence[str], value: str) -> str:
    if isinstance(node, SequenceNode):
        return _put_in_list(text, node, path, value)
    if _is_empty(node):
        end = node.end_mark.index
        return f"{text[:end].rstrip(' ')} {_flow(path, value)}{text[end:]}"
    if not isinstance(node, MappingNode):
        raise UneditableError(f"no mapping in line {node.start_mark.line + 1}")
    for key, found in node.value:
        if key.value != path[0]:
            continue
        if path[1:]:
            return _put(text, found, path[1:], value)
        if not isinstance(found, ScalarNode):
            raise UneditableError(f"no plain value in line {found.start_mark.line + 1}")
        if _is_empty(found):
            end = found.end_mark.index
            return f"{text[:end].rstrip(' ')} {value}{text[end:]}"
        return text[: found.start_mark.index] + value + text[found.end_mark.index :]
    if node.flow_style:
        return _into_flow(text, node, _flow(path, value)[1:-1])
    return _into_block(text, node, path, value)


def _put_in_list(text: str, node: SequenceNode, path: Sequence[str], value: str) -> str:
    for item in node.value:
        if isinstance(item, MappingNode) and path[0] in [key.value for key, _ in item.value]:
            return _put(text, item, path, value)
    if node.flow_style:
        return _into_flow(text, node, _flow(path, value))
    start = node.start_mark
    return (
        f"{text[: start.index]}- {_inline(path, value)}\n{' ' * start.column}{text[start.index :]}"
    )


def _into_flow(text: str, node: MappingNode | SequenceNode, entry: str) -> str:
    """Behind the last entry between the braces, and before a comment that follows it."""
    last = node.end_mark.index - 1
    if node.value:
        tail = node.value[-1]
        end = (tail[1] if isinstance(tail, tuple) else tail).end_mark.index
        if "#" in text[end:last]:
            return f"{text[:end]}, {entry}{text[end:]}"
    inside = text[node.start_mark.index + 1 : last].rstrip()
    comma = (" " if inside.endswith(",") else ", ") if node.value else ""
    end = node.start_mark.index + 1 + len(inside)
    return f"{text[:end]}{comma}{entry}{text[end:]}"


def _into_block(text: str, node: MappingNode, path: Sequence[str], value: str) -> str:
    """Behind the last entry if that ends in its line, else before the first."""
    (first, _), (_, last) = node.value[0], node.value[-1]
    indent = " " * first.start_mark.column
    entry = f"\n{indent}".join(_block(path, value))
    if _ends_in_line(last):
        end = text.find("\n", last.end_mark.index)
        end = len(text) if end < 0 else end
        return f"{text[:end]}\n{indent}{entry}{text[end:]}"
    start = first.start_mark.index
    return f"{text[:start]}{entry}\n{indent}{text[start:]}"


def _ends_in_line(node: Node) -> bool:
    """Whether the end that the node claims to have is that of its text."""
    if isinstance(node, ScalarNode):
        return node.style not in ("|", ">")
    return isinstance(node, CollectionNode) and bool(node.flow_style)


def _is_empty(node: Node) -> bool:
    """Whether it is the nothing behind `key:`."""
    return isinstance(node, ScalarNode) and node.start_mark.index == node.end_mark.index


def _block(path: Sequence[str], value: str) -> list[str]:
    """Lines of a new entry; a list has its entry in one line."""
    key, *rest = path
    if not rest:
        return [f"{key}: {value}"]
    if key == "signals":
        return ["signals:", f"  - {_inline(rest, value)}"]
    return [f"{key}:", *(f"  {line}" for line in _block(rest, value))]


def _inline(path: Sequence[str], value: str) -> str:
    key, *rest = path
    return f"{key}: {_flow(rest, value)}" if rest else f"{key}: {value}"


def _flow(path: Sequence[str], value: str) -> str:
    key, *rest = path
    if not rest:
        return f"{{{key}: {value}}}"
    inner = _flow(rest, value)
    return f"{{{key}: {f'[{inner}]' if key == 'signals' else inner}}}"
