"""Values changed in a YAML text whose layout and comments stay."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from scaler.simulate.edit import Edit, UneditableError, dressed, edited, undressed, unified
from tests.support.servers import program

UTILIZATION = ("scale", "signals", "router", "utilization")
CASES = {
    "a value in a block": (
        "scale:\n  # note\n  tolerance: 0.1  # why\n  max: 3\n",
        ("scale", "tolerance"),
        "scale:\n  # note\n  tolerance: 5  # why\n  max: 3\n",
    ),
    "a value in braces": (
        "scale: {min: 1, max: 3}\n",
        ("scale", "max"),
        "scale: {min: 1, max: 5}\n",
    ),
    "a quoted value": ('scale: {slo: "p95"}\n', ("scale", "slo"), "scale: {slo: 5}\n"),
    "a new key behind the last of a block": (
        "scale:\n  min: 1  # one\n\n# next\nb: 2\n",
        ("scale", "max"),
        "scale:\n  min: 1  # one\n  max: 5\n\n# next\nb: 2\n",
    ),
    "a new key in a file without a last line end": (
        "scale:\n  min: 1",
        ("scale", "max"),
        "scale:\n  min: 1\n  max: 5",
    ),
    "a new key before a block that ends deeper": (
        "scale:\n  up:\n    period: 1s\nb: 2\n",
        ("scale", "max"),
        "scale:\n  max: 5\n  up:\n    period: 1s\nb: 2\n",
    ),
    "a new key in braces": ("scale: {min: 1}\n", ("scale", "max"), "scale: {min: 1, max: 5}\n"),
    "a new key in braces of several lines": (
        "scale: {\n  min: 1,\n}\n",
        ("scale", "max"),
        "scale: {\n  min: 1, max: 5\n}\n",
    ),
    "a new key in braces before a comment": (
        "scale: {\n  min: 1,  # one\n  }\n",
        ("scale", "max"),
        "scale: {\n  min: 1, max: 5,  # one\n  }\n",
    ),
    "a new entry in brackets before a comment": (
        "scale:\n  signals: [\n    {redis: {list: a}}  # jobs\n  ]\n",
        UTILIZATION,
        "scale:\n  signals: [\n    {redis: {list: a}}, {router: {utilization: 5}}  # jobs\n  ]\n",
    ),
    "a new key in empty braces": ("scale: {}\n", ("scale", "max"), "scale: {max: 5}\n"),
    "a new key where there is nothing": (
        "scale:\nb: 2\n",
        ("scale", "max"),
        "scale: {max: 5}\nb: 2\n",
    ),
    "a value where there is nothing": (
        "scale:\n  max:\nb: 2\n",
        ("scale", "max"),
        "scale:\n  max: 5\nb: 2\n",
    ),
    "a new mapping in a block": (
        "a:\n  b: 1\n",
        ("a", "scale", "hpa", "tolerance"),
        "a:\n  b: 1\n  scale:\n    hpa:\n      tolerance: 5\n",
    ),
    "a new mapping in braces": (
        "a: {b: 1}\n",
        ("a", "scale", "tolerance"),
        "a: {b: 1, scale: {tolerance: 5}}\n",
    ),
    "an entry of a list": (
        "scale:\n  signals:\n    - redis: {list: a}\n    - router:\n        utilization: 0.7\n",
        UTILIZATION,
        "scale:\n  signals:\n    - redis: {list: a}\n    - router:\n        utilization: 5\n",
    ),
    "a key of an entry of a list": (
        "scale:\n  signals:\n    - router: {slo: 1s}\n",
        UTILIZATION,
        "scale:\n  signals:\n    - router: {slo: 1s, utilization: 5}\n",
    ),
    "a new entry of a list": (
        "scale:\n  signals:\n    - redis: {list: a}\n",
        UTILIZATION,
        "scale:\n  signals:\n    - router: {utilization: 5}\n    - redis: {list: a}\n",
    ),
    "a new entry of a list in brackets": (
        "scale: {signals: [{redis: {list: a}}]}\n",
        UTILIZATION,
        "scale: {signals: [{redis: {list: a}}, {router: {utilization: 5}}]}\n",
    ),
    "a new list in a block": (
        "scale:\n  min: 1\n",
        UTILIZATION,
        "scale:\n  min: 1\n  signals:\n    - router: {utilization: 5}\n",
    ),
    "a new list in braces": (
        "scale: {min: 1}\n",
        UTILIZATION,
        "scale: {min: 1, signals: [{router: {utilization: 5}}]}\n",
    ),
}


@pytest.mark.parametrize(("before", "path", "after"), CASES.values(), ids=CASES)
def test_one_value_is_put(before: str, path: tuple[str, ...], after: str) -> None:
    found = edited(before, [Edit(path, "5")])
    assert found == after
    assert yaml.safe_load(found) is not None


def test_two_values_may_share_a_new_parent() -> None:
    edits = [Edit(("scale", "hpa", "tolerance"), "0"), Edit(("scale", "hpa", "sync_period"), "5s")]
    assert edited("scale:\n  min: 1\n", edits) == (
        "scale:\n  min: 1\n  hpa:\n    tolerance: 0\n    sync_period: 5s\n"
    )


@pytest.mark.parametrize("text", ["", "scale: 3\n", "scale: [\n", "scale: {max: {a: 1}}\n"])
def test_what_has_another_form_is_refused(text: str) -> None:
    with pytest.raises(UneditableError):
        edited(text, [Edit(("scale", "max"), "5")])


def test_the_difference_is_one_that_patch_takes() -> None:
    assert unified("a: 1\nb: 2\n", "a: 1\nb: 3\n", "x.yml") == (
        "--- x.yml\n+++ x.yml\n@@ -1,2 +1,2 @@\n a: 1\n-b: 2\n+b: 3\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: 2\n",
        "a: 1\nb: 2",
        "b: 2",
        "a: 1\r\nb: 2\r\n",
        "a: 1\r\nb: 2",
        "\ufeffa: 1\nb: 2\n",
        "# a\u2028# b\na: 1\nb: 2\n",
    ],
)
def test_patch_makes_the_new_file_of_the_old(text: str, tmp_path: Path) -> None:
    after = dressed(edited(undressed(text), [Edit(("b",), "3")]), text)
    assert after == text.replace("b: 2", "b: 3")
    file = tmp_path / "x.yml"
    file.write_bytes(text.encode())
    diff = unified(text, after, "x.yml").encode()
    subprocess.run([program("patch"), str(file)], input=diff, check=True, capture_output=True)
    assert file.read_bytes() == after.encode()


def test_lines_that_end_in_two_ways_are_refused() -> None:
    with pytest.raises(UneditableError, match="its lines end in two ways"):
        undressed("a: 1\r\nb: 2\n")


def test_an_end_of_file_without_a_newline_is_said_in_the_difference() -> None:
    assert unified("a: 1", "a: 2", "x.yml") == (
        "--- x.yml\n+++ x.yml\n@@ -1 +1 @@\n"
        "-a: 1\n\\ No newline at end of file\n+a: 2\n\\ No newline at end of file\n"
    )
