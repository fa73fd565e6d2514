# ruff: noqa: RUF001  the quotes and full stops of other scripts are this file's subject
import pytest
from hsu_a_service1.text import TooMany, read_stop_words, sentences


def texts(text: str) -> list[str]:
    return [sentence.text for sentence in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("It rains\nand  pours. It\tstops.", ["It rains and pours.", "It stops."]),
        ("Dr. Smith met J. Doe at 3.15 p.m. in Mr. Roe's house. They left.",
         ["Dr. Smith met J. Doe at 3.15 p.m. in Mr. Roe's house.", "They left."]),
        ("Use tools, e.g. Python, i.e. a language. See Fig. 3 and No. 7.",
         ["Use tools, e.g. Python, i.e. a language.", "See Fig. 3 and No. 7."]),
        ("He said no. She left.", ["He said no.", "She left."]),
        ("Bread, cakes, etc. are sold. Bring flour, salt, etc. The oven waits.",
         ["Bread, cakes, etc. are sold.", "Bring flour, salt, etc.", "The oven waits."]),
        ("Wait... what? Yes.", ["Wait... what?", "Yes."]),
        ('"It works." She smiled. (So did he.) Good.',
         ['"It works."', "She smiled.", "(So did he.)", "Good."]),
        ("So do I. It is late.", ["So do I.", "It is late."]),
        ("Version 3.11 is out. Open main.py now.", ["Version 3.11 is out.", "Open main.py now."]),
        ("今日は晴れ。明日は雨！本当？", ["今日は晴れ。", "明日は雨！", "本当？"]),
        ("", []),
        (" \n\t\n ", []),
        ("... !!! ---", []),
    ],
)  # fmt: skip
def test_a_text_is_cut_where_sentences_end(text: str, expected: list[str]) -> None:
    assert expected == texts(text)


def test_a_paragraph_without_a_full_stop_counts_only_where_nothing_else_does() -> None:
    assert ["hello world"] == texts("hello world")
    assert ["It rains."] == texts("Weather report\n\nIt rains.\n\nContents")


def test_markdown_leaves_its_prose() -> None:
    text = """\
---

# Bread

[![badge](b.svg)](ci) ![oven](oven.png)

Baking is **simple** and *cheap*: see [the book](http://x.y/z) or `bake --help`.
<!-- nobody
reads this. -->
It takes <b>time</b> &amp; patience.

```python
oven = Oven()  # Not a sentence. Really.
```

Steps
-----

- Mix flour and
  water.
- Wait.
1. Bake it.

> It rises.

| dish  | time. |
|-------|-------|
| bread | 1 h.  |

    $ make bread. Now.

[book]: http://x.y/z
"""
    expected = [
        "Baking is simple and cheap: see the book or bake --help.",
        "It takes time & patience.",
        "Mix flour and water.",
        "Wait.",
        "Bake it.",
        "It rises.",
    ]
    assert expected == texts(text)


def test_restructured_text_leaves_its_prose() -> None:
    text = """\
=====
Bread
=====

.. image:: oven.png
   :alt: An oven. Hot.

Call :func:`~kitchen.bake` with ``dough``; see `the book <http://x.y/z>`_ [1]_.

Flour
~~~~~

An example::

    bake("dough.")

After it.

>>> bake("dough.")
'bread.'

.. note:: It is hot.
   Take care.

.. a remark. Nobody sees it.

:param dough: What to bake.
"""
    expected = [
        "Call kitchen.bake with dough; see the book.",
        "After it.",
        "It is hot.",
        "Take care.",
        "What to bake.",
    ]
    assert expected == texts(text)


def test_indented_prose_is_no_code() -> None:
    text = (
        "Licence\n\n      You may use, copy and sell the work, with or without changes.\n\n"
        "      x = copy(work)  # No sentence.\n"
    )
    assert ["You may use, copy and sell the work, with or without changes."] == texts(text)


def test_a_fence_that_is_not_closed_reaches_to_the_end() -> None:
    assert ["Before it."] == texts("Before it.\n\n```\ncode. More code.\n")


def test_words_are_counted_all_and_kept_once_without_stop_words() -> None:
    [sentence] = sentences("The bread, the WELL-known bread, doesn’t rise.", {"the", "doesn't"})
    assert 8 == sentence.length
    assert {"bread", "well", "known", "rise"} == set(sentence.words)


def test_more_sentences_than_wanted_are_refused() -> None:
    assert len(sentences("It rains. " * 5, at_most=5)) == 5
    for text in ("It rains. " * 6, "It rains.\n\n" * 6, "it rains\n\n" * 6):
        with pytest.raises(TooMany):
            sentences(text, at_most=5)


def test_stop_words_are_read_with_remarks_left_out() -> None:
    assert {"a", "an", "the"} == read_stop_words(["# Articles", "a An  # two", "", "the"])


@pytest.mark.parametrize(
    "unit", ["(", ".", "*a ", "[a](b", "`a <b", "<!--", "e.g. ", "a::\n b\n", "- a\n"]
)
def test_a_hostile_text_takes_time_in_proportion_to_its_length(unit: str) -> None:
    # A quadratic step would take minutes here; the bound of the test run ends it.
    sentences(unit * (300_000 // len(unit)))
