import math
from fractions import Fraction
from itertools import permutations

import pytest
from hsu_a_service1.text import Sentence, sentences
from hsu_a_service1.textrank import DAMPING, rank, similarity
from hypothesis import given
from hypothesis import strategies as st

BREAD = (
    "Farmers bring wheat home. Millers make wheat flour. "
    "Millers' flour makes bread. People eat bread daily."
)


def exact_scores(weights: list[list[Fraction]]) -> list[Fraction]:
    """Solve x = (1 - d) / n + d P x, P[i][j] = w[j][i] / sum(w[j]), by Gaussian elimination."""
    n, d = len(weights), Fraction(str(DAMPING))
    rows = [
        [
            Fraction(i == j) - (d * weights[j][i] / sum(weights[j]) if sum(weights[j]) else 0)
            for j in range(n)
        ]
        + [(1 - d) / n]
        for i in range(n)
    ]
    for i in range(n):
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(n):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    solution = [row[n] for row in rows]
    return [value / sum(solution) for value in solution]


def similarities(found: list[Sentence]) -> list[list[float]]:
    return [[0.0 if a is b else similarity(a, b) for b in found] for a in found]


def test_similarity_is_shared_words_over_the_logs_of_both_lengths() -> None:
    # Every sentence has four words, so each shared word counts 1 / (log 4 + log 4):
    # 0 and 1 share wheat; 1 and 2 share millers and flour; 2 and 3 share bread.
    one = 1 / (2 * math.log(4))
    expected = [
        [0, one, 0, 0],
        [one, 0, 2 * one, 0],
        [0, 2 * one, 0, one],
        [0, 0, one, 0],
    ]
    assert expected == similarities(sentences(BREAD))


def test_scores_are_those_of_the_case_worked_by_hand() -> None:
    # With the factor 1 / (2 log 4) left out, which all weights share, the graph is a path:
    #
    #     0 --1-- 1 --2-- 2 --1-- 3
    #
    # so 0 gives all of its score to 1, and 1 gives a third to 0 and two thirds to 2. By symmetry
    # 0 and 3 have the same score a, 1 and 2 the same score b. With d = 17/20 and n = 4:
    #
    #     a = 3/80 + 17/20 * b/3                       = 3/80 + 17/60 b
    #     b = 3/80 + 17/20 * (a + 2b/3)                  so   13/30 b = 3/80 + 17/20 a
    #
    # a put into the second:  (13/30 - 289/1200) b = 3/80 * (1 + 17/20)
    #                                 231/1200 b = 111/1600
    #                                          b = 111/308
    #                                          a = 3/80 + 17/60 * 111/308 = 43/308
    #
    # and 2a + 2b = 308/308.
    expected = [Fraction(43, 308), Fraction(111, 308), Fraction(111, 308), Fraction(43, 308)]
    path = [[0, 1, 0, 0], [1, 0, 2, 0], [0, 2, 0, 1], [0, 0, 1, 0]]
    assert expected == exact_scores([[Fraction(weight) for weight in row] for row in path])
    assert [float(score) for score in expected] == pytest.approx(rank(sentences(BREAD)), abs=1e-8)


def test_scores_of_unequal_sentences_solve_the_linear_system() -> None:
    found = sentences(
        "The mill stands by the river. Water from the river turns the wheel of the old mill. "
        "The wheel turns a stone. Nobody remembers who built it. A stone grinds wheat at the mill."
    )
    weights = [[Fraction(weight) for weight in row] for row in similarities(found)]
    expected = [float(score) for score in exact_scores(weights)]
    assert expected == pytest.approx(rank(found), abs=1e-8)
    assert len({round(score, 6) for score in expected}) == len(found)


def test_a_sentence_alone_has_the_whole_score() -> None:
    assert [1.0] == rank(sentences("Dough rises."))


def test_sentences_that_share_nothing_are_equal() -> None:
    assert [0.25] * 4 == pytest.approx(rank(sentences("Aa bb. Cc dd. Ee ff. Gg hh.")))


def test_sentences_of_one_word_have_no_similarity() -> None:
    one, other = sentences("Bread. Bread.")
    assert similarity(one, other) == 0
    assert [0.5, 0.5] == rank([one, other])


def test_no_sentences_have_no_scores() -> None:
    assert [] == rank([])


def test_the_order_of_the_sentences_does_not_matter() -> None:
    found = sentences(BREAD)
    expected = dict(zip(found, rank(found), strict=True))
    for order in permutations(found):
        assert expected == pytest.approx(dict(zip(order, rank(order), strict=True)))


def test_between_steps_is_called_for_every_sentence_and_may_end_the_work() -> None:
    class Enough(Exception):
        pass

    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise Enough

    with pytest.raises(Enough):
        rank(sentences(BREAD), count)


@given(st.lists(st.frozensets(st.sampled_from("abcdef"), min_size=1), min_size=1, max_size=12))
def test_scores_add_up_to_one_and_none_is_zero(bags: list[frozenset[str]]) -> None:
    scores = rank([Sentence("", len(bag), bag) for bag in bags])
    assert sum(scores) == pytest.approx(1)
    assert min(scores) > 0
