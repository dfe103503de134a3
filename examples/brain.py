"""A very small language model: retrieval, then generation. The work of the example agents.

A question is answered in three steps, as a real agent would with larger parts:

1. *retrieve*: passages are ranked by TF-IDF (K. Spärck Jones, 1972) against the question;
2. *generate*: a Markov chain of order 2, built from all passages, writes drafts that start in
   the best passages;
3. *choose*: the draft that shares most with the question is kept. Drafts are written until the
   CPU time allowed is used up, so thinking longer makes a better answer and costs what it says.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

_WORD = re.compile(r"[a-z0-9'-]+")
_Pair = tuple[str, str]


@dataclass(frozen=True)
class Answer:
    """What the brain makes of a question."""

    text: str
    sources: tuple[int, ...]
    """Indices of the passages it started from, best first."""
    drafts: int
    """Drafts written before choosing; at least one."""


class Brain:
    """An index and a Markov chain over `passages`; building it takes a few milliseconds."""

    def __init__(self, passages: Sequence[str]) -> None:
        """`passages` are texts of two words or more, at least one."""
        self._passages = tuple(passages)
        counts = [Counter(words(passage)) for passage in passages]
        seen_in = Counter(word for count in counts for word in count)
        self._weights = {word: math.log(1 + len(counts) / n) for word, n in seen_in.items()}
        self._vectors = [self._vector(count) for count in counts]
        self._next: defaultdict[_Pair, list[str]] = defaultdict(list)
        for passage in passages:
            tokens = passage.split()
            for first, second, third in zip(tokens, tokens[1:], tokens[2:], strict=False):
                self._next[first, second].append(third)

    def answer(
        self, question: str, random: Random, *, work: float, cpu: Callable[[], float]
    ) -> Answer:
        """Think for `work` seconds as counted by `cpu` (always at least one draft)."""
        ends = cpu() + work
        asked = self._vector(Counter(words(question)))
        sources = self._retrieve(asked)
        best, best_score = "", -1.0
        for drafts in itertools.count(1):
            draft = self._draft(self._passages[sources[drafts % len(sources)]], random)
            score = _cosine(asked, self._vector(Counter(words(draft))))
            if score > best_score:
                best, best_score = draft, score
            if cpu() >= ends:
                break
        return Answer(best, sources, drafts)

    def _retrieve(self, asked: dict[str, float], count: int = 3) -> tuple[int, ...]:
        scores = [_cosine(asked, vector) for vector in self._vectors]
        ranked = sorted(range(len(scores)), key=lambda i: -scores[i])
        return tuple(ranked[:count])

    def _draft(self, passage: str, random: Random, limit: int = 40) -> str:
        """Walk the chain from the start of `passage` to the end of a sentence, or `limit` words."""
        draft = passage.split()[:2]
        while len(draft) < limit:
            followers = self._next.get((draft[-2], draft[-1]))
            if not followers or (len(draft) > 8 and draft[-1].endswith(".")):
                break
            draft.append(random.choice(followers))
        return " ".join(draft)

    def _vector(self, counts: Counter[str]) -> dict[str, float]:
        return {word: n * self._weights.get(word, 0.0) for word, n in counts.items()}


def words(text: str) -> list[str]:
    """The words of `text` in lower case, without punctuation."""
    return _WORD.findall(text.lower())


def _cosine(one: dict[str, float], other: dict[str, float]) -> float:
    product = sum(weight * other.get(word, 0.0) for word, weight in one.items())
    lengths = math.hypot(*one.values()) * math.hypot(*other.values())
    return product / lengths if lengths else 0.0
