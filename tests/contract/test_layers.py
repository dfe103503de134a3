"""Imports point down only; the data plane stays free of everything slow or foreign."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = {
    "examples": frozenset[str](),
    "fleet": frozenset({"fleet"}),
    "headrace": frozenset({"fleet", "headrace", "router", "scaler"}),
    "router": frozenset({"fleet", "router"}),
    "scaler": frozenset({"fleet", "scaler"}),
}
HOUSE = {"fleet", "headrace", "router", "scaler"}
FOREIGN_TO_ROUTER = {"aiohttp", "prometheus_client", "pydantic", "redis", "structlog", "yaml"}


def files(floor: str) -> list[Path]:
    found = sorted((ROOT / floor).rglob("*.py"))
    assert found, f"{floor} has no source"
    return found


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, those inside functions and TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield node.lineno, node.module or ""


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_point_down_only_from(floor: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in files(floor)
        for line, name in imports(path)
        if (top := name.partition(".")[0]) in HOUSE and top not in FLOORS[floor]
    ]
    assert wrong == []


def test_the_data_plane_names_nothing_slow_or_foreign() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in files("router")
        for line, name in imports(path)
        if name.partition(".")[0] in FOREIGN_TO_ROUTER
    ]
    assert wrong == []


def test_a_worker_loads_nothing_slow_or_foreign() -> None:
    code = "import sys, router.worker; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert loaded & (FOREIGN_TO_ROUTER | {"headrace", "scaler"}) == set()
    assert "router" in loaded
