import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.config import patterns
from fleet.config import schema as models
from fleet.config.json_schema import kind, known_keys, models_at, schema
from fleet.config.load import load_text
from fleet.config.reference import ROOT, documents
from fleet.config.reference_text import EXAMPLE
from fleet.config.rules import RULES
from fleet.config.schema import Config
from fleet.config.units import DURATION_PATTERN, SIZE_PATTERN


def definitions() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "Config", schema()
    yield from schema()["$defs"].items()


PROPERTIES = [
    pytest.param(node, id=f"{name}.{key}")
    for name, definition in definitions()
    for key, node in definition["properties"].items()
]


@pytest.mark.parametrize("path", documents(), ids=str)
def test_generated_documents_are_fresh(path: Path) -> None:
    assert (ROOT / path).read_text() == documents()[path], "run python -m fleet.config.reference"


def test_the_example_of_the_reference_loads() -> None:
    assert list(load_text(EXAMPLE, Path("headrace.yaml")).pools) == ["support", "search"]


@pytest.mark.parametrize("node", PROPERTIES)
def test_every_key_is_described(node: dict[str, Any]) -> None:
    assert node["description"].endswith(".")


def test_unknown_keys_are_refused_everywhere() -> None:
    assert all(node["additionalProperties"] is False for _, node in definitions())


def test_every_pattern_has_words() -> None:
    text = json.dumps(schema())
    found = {json.loads(f'"{escaped}"') for escaped in re.findall(r'"pattern": "(.*?)"[,}]', text)}
    assert found == {*patterns.IN_WORDS, DURATION_PATTERN, SIZE_PATTERN}


def test_rules_are_those_of_models() -> None:
    assert all(issubclass(getattr(models, name), models.Model) for name in RULES)


@pytest.mark.parametrize(
    ("model", "key", "default"),
    [
        ("Timeouts", "header", "10s"),
        ("Timeouts", "first_byte", "5m"),
        ("Limits", "header_size", "64KiB"),
        ("RouterSignal", "window", "10s"),
        ("Pool", "versions", {"v1": {}}),
        ("AccessLog", "sample", 1),
    ],
)
def test_defaults_are_written_as_people_write_them(model: str, key: str, default: object) -> None:
    assert schema()["$defs"][model]["properties"][key]["default"] == default


def test_listen_is_a_text_a_mapping_or_a_list_of_them() -> None:
    text, mapping = {"type": "string"}, {"$ref": "#/$defs/Listener"}
    many = {"items": {"anyOf": [text, mapping]}, "minItems": 1, "type": "array"}
    assert schema()["properties"]["listen"]["anyOf"] == [text, mapping, many]


def test_durations_and_sizes_are_known_by_their_form() -> None:
    definitions = schema()["$defs"]
    assert kind(definitions["Health"]["properties"]["interval"]) == "duration"
    assert kind(definitions["RouterSignal"]["properties"]["slo"]) == "duration"
    assert kind(definitions["Limits"]["properties"]["body"]) == "size"
    assert kind(definitions["Limits"]["properties"]["headers"]) is None


def test_models_and_keys_are_found_by_path() -> None:
    version = ("pools", "x", "versions", "y")
    assert models_at(version) == ("Version",)
    assert known_keys(version) == ("weight", "driver", "concurrency", "circuit", "cost")
    assert models_at((*version, "driver", "process")) == ("ProcessOverride",)
    assert models_at(("pools", "x", "scale", "signals", 0)) == ("Signal",)
    assert known_keys(()) == tuple(Config.model_fields)
    assert known_keys(("listen", 0)) == ("address", "mode", "tls", "proxy_protocol")
    assert known_keys(("trusted_proxies", 0)) == ()
    assert models_at(("no", "such", 1, "path")) == ()
