"""The JSON Schema of a configuration file (2020-12), for editors and for the reference.

Pydantic writes the bulk; here its machine forms are turned into what people write, and what only
a validator knows is added.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from pydantic import BaseModel

from fleet.config import schema as models
from fleet.config.document import Path
from fleet.config.rules import EXACTLY_ONE_KEY, SIGNALS
from fleet.config.schema import Config
from fleet.config.units import DURATION_PATTERN, SIZE_PATTERN, format_duration, format_size

Json = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_KINDS: Final = {DURATION_PATTERN: "duration", SIZE_PATTERN: "size"}


@cache
def schema() -> Json:
    """The whole schema. Do not change what is returned."""
    raw = Config.model_json_schema()
    definitions: dict[str, Json] = raw.pop("$defs")
    for name, definition in definitions.items():
        _humanise(definition, getattr(models, name))
        if name in EXACTLY_ONE_KEY:
            definition |= {"minProperties": 1, "maxProperties": 1}
        if name == "Signal":
            definition["oneOf"] = [{"required": [kind]} for kind in SIGNALS]
    _humanise(raw, Config)
    return {
        "$schema": DIALECT,
        "title": "Headrace configuration",
        **raw,
        "$defs": dict(sorted(definitions.items())),
    }


def kind(node: Json) -> str | None:
    """`duration` or `size` when `node` is one of them."""
    patterns = (part.get("pattern") for part in choices(node))
    return next((_KINDS[pattern] for pattern in patterns if pattern in _KINDS), None)


def choices(node: Json) -> list[Json]:
    """The schemas one of which must hold; references stay as they are."""
    if "anyOf" not in node:
        return [node]
    return [part for choice in node["anyOf"] for part in choices(choice)]


def reference(node: Json) -> str | None:
    """The name of the model that `node` refers to."""
    return node["$ref"].rpartition("/")[2] if "$ref" in node else None


def models_at(path: Path) -> tuple[str, ...]:
    """Names of the models that the value at `path` may be; none for other values."""
    return tuple(name for node in _nodes(path) if (name := reference(node)) is not None)


def known_keys(path: Path) -> tuple[str, ...]:
    """The keys that the mapping at `path` may have; none where any key goes, or none at all."""
    return tuple(key for node in _nodes(path) for key in _followed(node).get("properties", ()))


def _nodes(path: Path) -> list[Json]:
    nodes = [schema()]
    for key in path:
        nodes = [part for node in nodes for part in _below(_followed(node), key)]
    return nodes


def _followed(node: Json) -> Json:
    name = reference(node)
    found: Json = node if name is None else schema()["$defs"][name]
    return found


def _below(node: Json, key: str | int) -> list[Json]:
    if isinstance(key, int):
        found = node.get("items")
    else:
        found = node.get("properties", {}).get(key, node.get("additionalProperties"))
    return choices(found) if isinstance(found, dict) else []


def _humanise(definition: Json, model: type[BaseModel]) -> None:
    """Drop generated titles and write defaults as people write them."""
    definition.pop("title", None)
    for name, node in definition.get("properties", {}).items():
        node.pop("title", None)
        if "anyOf" in node:
            node["anyOf"] = choices(node)
        if "patternProperties" in node:
            _close(node)
        field = model.model_fields[name]
        default = None if field.is_required() else _shown_default(node, field.default)
        if default is None:
            node.pop("default", None)
        else:
            node["default"] = default


def _close(node: Json) -> None:
    """Refuse the keys that no pattern takes; pydantic's form lets them pass."""
    ((pattern, value),) = node.pop("patternProperties").items()
    node["propertyNames"] = {**node.get("propertyNames", {}), "pattern": pattern}
    node["additionalProperties"] = value


def _shown_default(node: Json, default: Any) -> Any:
    """A default as written in a file; None when absence says it all."""
    if isinstance(default, BaseModel):
        return default.model_dump(exclude_defaults=True) or None
    if isinstance(default, dict):
        shown = {key: value.model_dump(exclude_defaults=True) for key, value in default.items()}
        return shown or None
    if isinstance(default, tuple):
        return _shown_default(node, default[0]) if len(default) == 1 else None
    if isinstance(default, float) and kind(node) is None:
        return int(default) if default.is_integer() else default
    match kind(node):
        case "duration" if default is not None:
            return format_duration(default)
        case "size" if default is not None:
            return format_size(default)
        case _:
            return default
