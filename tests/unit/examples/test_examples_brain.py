"""The example agents' work, without processes."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.fixture(autouse=True)
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)


@pytest.fixture
def brain() -> Iterator[ModuleType]:
    yield importlib.import_module("brain")
    sys.modules.pop("brain")


@pytest.fixture
def options() -> Iterator[ModuleType]:
    yield importlib.import_module("options")
    sys.modules.pop("options")


PASSAGES = (
    "Water turns the wheel. The wheel turns the mill.",
    "A gate opens slowly. The gate holds the water back.",
    "Bread is made of flour. The mill makes flour of grain.",
)


def counter(step: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step


@pytest.mark.parametrize(
    ("question", "source"),
    [
        pytest.param("Who opens the gate?", 1, id="a rare word decides"),
        pytest.param("FLOUR, of bread!", 2, id="case and punctuation do not matter"),
    ],
)
def test_the_best_passage_comes_first(brain: ModuleType, question: str, source: int) -> None:
    answer = brain.Brain(PASSAGES).answer(question, Random(1), work=0.0, cpu=lambda: 0.0)
    assert answer.sources[0] == source


def test_the_same_seed_gives_the_same_answer(brain: ModuleType) -> None:
    thinker = brain.Brain(PASSAGES)
    one, other = (
        thinker.answer("Where is the mill?", Random(7), work=0.0, cpu=lambda: 0.0) for _ in "ab"
    )
    assert one == other
    assert one.text


def test_drafts_are_written_until_the_work_is_done(brain: ModuleType) -> None:
    cpu = counter(0.001)
    answer = brain.Brain(PASSAGES).answer("mill", Random(1), work=0.005, cpu=lambda: next(cpu))
    assert answer.drafts == 5


@pytest.mark.parametrize("question", ["", "!?", "zebra"], ids=["empty", "no words", "unknown word"])
def test_any_question_gets_an_answer(brain: ModuleType, question: str) -> None:
    answer = brain.Brain(PASSAGES).answer(question, Random(1), work=0.0, cpu=lambda: 0.0)
    assert answer.text


@pytest.mark.parametrize(
    ("text", "value"), [("80ms", 0.08), ("1.5s", 1.5), ("2m", 120.0)], ids=["ms", "s", "minutes"]
)
def test_seconds(options: ModuleType, text: str, value: float) -> None:
    assert options.seconds(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        pytest.param("seconds", "80", id="a duration has a unit"),
        pytest.param("seconds", "-1s", id="a duration is not negative"),
        pytest.param("share", "1.1", id="a share is at most 1"),
        pytest.param("share", "nan", id="a share is a number"),
        pytest.param("positive", "0", id="a count is at least 1"),
        pytest.param("positive", "²", id="a count has plain digits"),
    ],
)
def test_values_refused(options: ModuleType, kind: str, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        getattr(options, kind)(text)
