"""Writes `docs/configuration.md` and `configs/headrace.schema.json` from the models.

`python -m fleet.config.reference` writes both; a test fails when they are stale.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from fleet.config.json_schema import Json, choices, kind, reference, schema
from fleet.config.load import ConfigError, load_text
from fleet.config.messages import plain
from fleet.config.reference_text import BROKEN, EXAMPLE, INTRODUCTION, PROSE
from fleet.config.restart import RESTART_KEYS

ROOT: Final = Path(__file__).parents[2]
_TOP: Final = ""


def documents() -> Mapping[Path, str]:
    """The text of each generated file, by its path below the top of the project."""
    return {
        Path("configs/headrace.schema.json"): json.dumps(schema(), indent=2) + "\n",
        Path("docs/configuration.md"): markdown(),
    }


def markdown() -> str:
    """The reference."""
    prose = PROSE.replace("{restart}", _listed(RESTART_KEYS)).replace("{broken}", BROKEN)
    parts = [
        INTRODUCTION,
        f"```yaml\n{EXAMPLE}```\n",
        prose.replace("{errors}", _errors_of(BROKEN)),
        *(_section(name, paths) for name, paths in _paths_by_model().items()),
    ]
    return "\n".join(parts)


def _errors_of(text: str) -> str:
    try:
        load_text(text, Path("headrace.yaml"), env={})
    except ConfigError as error:
        return str(error)
    raise AssertionError("the broken example is valid")


def _listed(keys: tuple[str, ...]) -> str:
    quoted = [f"`{key}`" for key in keys]
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _definition(name: str) -> Json:
    whole = schema()
    found: Json = whole["$defs"][name] if name else whole
    return found


def _paths_by_model() -> dict[str, list[str]]:
    """The paths at which each model stands, in the order of the file."""
    paths: dict[str, list[str]] = {}

    def visit(name: str, path: str) -> None:
        paths.setdefault(name, []).append(path)
        for key, node in _definition(name)["properties"].items():
            for below, suffix in _models_in(node):
                visit(below, f"{path}.{key}{suffix}".removeprefix("."))

    visit(_TOP, "")
    return paths


def _models_in(node: Json) -> Iterator[tuple[str, str]]:
    """The models that a value of `node` holds, and what leads to them in a path."""
    for part in choices(node):
        if (name := reference(part)) is not None:
            yield name, ""
        elif part.get("type") == "array":
            yield from ((name, f"[]{suffix}") for name, suffix in _models_in(part["items"]))
        elif isinstance(part.get("additionalProperties"), dict):
            inner = _models_in(part["additionalProperties"])
            yield from ((name, f".NAME{suffix}") for name, suffix in inner)


def _section(name: str, paths: list[str]) -> str:
    definition = _definition(name)
    title = " and ".join(f"`{path}`" for path in paths) if name else "The top"
    rows = [
        f"| `{key}` | {_type(node)} | {_default(key, node, definition)} | {node['description']} |"
        for key, node in definition["properties"].items()
    ]
    return "\n".join(
        [
            f"## {title}\n",
            f"{definition['description']}\n",
            "| key | type | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _default(key: str, node: Json, definition: Json) -> str:
    if key in definition.get("required", ()):
        return "*required*"
    if "default" not in node:
        return ""
    return f"`{_yaml(node['default'])}`"


def _yaml(value: Any) -> str:
    """One value in YAML's flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    return value if isinstance(value, str) else json.dumps(value)


def _type(node: Json) -> str:
    if (human := kind(node)) is not None:
        return _nullable(human, node)
    parts = [part for part in choices(node) if part.get("type") != "null"]
    return _nullable(" or ".join(map(_plain_type, parts)), node)


def _nullable(text: str, node: Json) -> str:
    """Where null differs from leaving the key out, it is a value of its own."""
    accepts = any(part.get("type") == "null" for part in choices(node))
    return f"{text} or null" if accepts and "default" in node else text


def _plain_type(node: Json) -> str:
    if reference(node) is not None:
        return "mapping"
    if "enum" in node:
        return ", ".join(f"`{choice}`" for choice in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    if node["type"] == "array":
        return f"list of {' or '.join(map(_plain_type, choices(node['items'])))}"
    if node["type"] == "object":
        return f"mapping of names to {_plain_type(node['additionalProperties'])}"
    return _TYPES[node["type"]] + _range(node)


_TYPES: Final = {
    "boolean": "true or false",
    "integer": "integer",
    "number": "number",
    "string": "text",
}


def _range(node: Json) -> str:
    bounds = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    words = [f"{word} {plain(node[key])}" for key, word in bounds.items() if key in node]
    return f", {' and '.join(words)}" if words else ""


def main() -> None:
    """Write the files."""
    for path, text in documents().items():
        (ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
