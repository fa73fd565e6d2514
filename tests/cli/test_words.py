"""The nearest word."""

import pytest

from hsu_worker.cli._words import nearest

METHODS = ["Summarize", "StreamSummary"]


@pytest.mark.parametrize(
    ("word", "words", "expected"),
    [
        ("Sumarize", METHODS, "; did you mean 'Summarize'?"),
        ("stream_summary", METHODS, "; did you mean 'StreamSummary'?"),
        ("STREAM-SUMMARY", METHODS, "; did you mean 'StreamSummary'?"),
        ("Foo", METHODS, "; it has Summarize, StreamSummary"),
        ("interfacea", ["hsu.a.v1.InterfaceA", "hsu.b.v1.InterfaceB"], "; did you mean 'hsu.a.v1.InterfaceA'?"),
        ("hsu.x.v1.Foo", ["hsu.core.v1.Core"], "; it has hsu.core.v1.Core"),
        ("x", [], ""),
        ("x", [f"word{number}" for number in range(22)], f"; it has {', '.join(f'word{n}' for n in range(20))} and 2 more"),
    ],
)  # fmt: skip
def test_the_nearest_word_is_proposed_or_all_are_listed(
    word: str, words: list[str], expected: str
) -> None:
    assert expected == nearest(word, words)


def test_a_list_can_be_left_out() -> None:
    assert "" == nearest("Foo", METHODS, listed=False)
