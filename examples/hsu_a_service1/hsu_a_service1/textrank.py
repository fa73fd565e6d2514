"""TextRank: a sentence is as important as the sentences that it shares words with.

After Mihalcea and Tarau, "TextRank: Bringing Order into Texts", EMNLP 2004.
"""

import math
from array import array
from collections.abc import Callable, Sequence
from operator import mul
from typing import TypeAlias

from hsu_a_service1.text import Sentence

#: The share of a sentence's score that comes from the others; the paper's value.
DAMPING = 0.85

#: The iteration ends when the scores, which add up to 1 at the most, change by less than this in all.
TOLERANCE = 1e-9

#: The change shrinks to DAMPING of itself, or less, in each round: so many always suffice.
MAX_ROUNDS = math.ceil(math.log(TOLERANCE / 2) / math.log(DAMPING))

#: The other sentences that one is like, and how much. Arrays, because 2,000 sentences that share a
#: word make four million edges: 12 bytes each.
Edges: TypeAlias = "tuple[array[int], array[float]]"


def similarity(one: Sentence, other: Sentence) -> float:
    """How much two sentences say the same: shared words / (log of one's length + log of other's).

    0 for two sentences of one word each, where the paper's formula divides by 0.
    """
    logs = math.log(one.length) + math.log(other.length)
    return len(one.words & other.words) / logs if logs else 0.0


def rank(
    sentences: Sequence[Sentence], between_steps: Callable[[], None] = lambda: None
) -> list[float]:
    """The score of each sentence; they add up to 1.

    Time and memory grow with the square of the number of sentences.

    Args:
        sentences: Those of a text. Their order doesn't matter.

        between_steps: Called every few milliseconds; it may raise, when nobody wants the answer.
    """
    if not sentences:
        return []
    graph = _graph(sentences, between_steps)
    strengths = [sum(weights) for _, weights in graph]
    base = (1 - DAMPING) / len(sentences)
    scores = [1 / len(sentences)] * len(sentences)
    for _ in range(MAX_ROUNDS):
        # Each hands its score on, in proportion to its similarities. One that is like no other
        # hands nothing on.
        per_weight = [
            score / strength if strength else 0.0
            for score, strength in zip(scores, strengths, strict=True)
        ]
        before, scores = scores, []
        for neighbours, weights in graph:
            between_steps()
            received = sum(map(mul, weights, map(per_weight.__getitem__, neighbours)))
            scores.append(base + DAMPING * received)
        if sum(abs(old - new) for old, new in zip(before, scores, strict=True)) < TOLERANCE:
            break
    whole = sum(scores)
    return [score / whole for score in scores]


def _graph(sentences: Sequence[Sentence], between_steps: Callable[[], None]) -> list[Edges]:
    """The edges of each sentence."""
    graph: list[Edges] = [(array("I"), array("d")) for _ in sentences]
    for at, one in enumerate(sentences):
        between_steps()
        for other_at, other in enumerate(sentences[:at]):
            if one.words.isdisjoint(other.words):
                continue
            if weight := similarity(one, other):
                for here, there in ((at, other_at), (other_at, at)):
                    neighbours, weights = graph[here]
                    neighbours.append(there)
                    weights.append(weight)
    return graph
