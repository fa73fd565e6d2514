"""Docstrings say what the comment says, whatever it holds."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsu_worker.codegen.text import bracketed, docstring

#: What is left of a comment: lines of printable text, without blank ends.
COMMENTS = (
    st.lists(st.text(st.sampled_from("a\\\"'{}é \t"), max_size=8), min_size=1, max_size=4)
    .map(lambda lines: "\n".join(line.rstrip() for line in lines).strip())
    .filter(bool)
)


@given(COMMENTS)
def test_a_docstring_reads_as_the_comment(comment: str) -> None:
    text = ast.literal_eval("\n".join(docstring(comment)))
    assert text.removesuffix("\n") == comment


def test_no_comment_is_no_docstring() -> None:
    assert docstring("") == []


def test_empty_lines_of_a_docstring_hold_no_spaces() -> None:
    assert docstring("One.\n\nTwo.", indent="    ") == [
        '    """One.',
        "",
        "    Two.",
        '    """',
    ]


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (46, ["call({a}, {b})"]),
        (47, ["call(", "    {a}, {b}", ")"]),
        (48, ["call(", "    {a},", "    {b},", ")"]),
    ],
    ids=["fits", "fits below", "one by one"],
)
def test_a_line_is_broken_where_the_formatter_breaks_it(length: int, expected: list[str]) -> None:
    items = {"a": "a" * length, "b": "b" * length}
    lines = bracketed("call(", list(items.values()), ")")
    assert lines == [line.format(**items) for line in expected]
