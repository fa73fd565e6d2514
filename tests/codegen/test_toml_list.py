"""A list in somebody's TOML is changed in one place, or not at all."""

import pytest

from hsu_worker.codegen.toml_list import with_items


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('[t]\nx = ["a"]\n', '[t]\nx = ["a", "b"]\n'),
        ("[t]\nx = [ 'z', 'a' ] # \"a\"\n", "[t]\nx = [ 'z', 'a', 'b' ] # \"a\"\n"),
        ('[t]\nx = [\n  "a", # one\n]\n', '[t]\nx = [\n  "a",\n  "b", # one\n]\n'),
        ('[t]\r\nx = [\r\n\t"a"\r\n]\r\n', '[t]\r\nx = [\r\n\t"a",\r\n\t"b"\r\n]\r\n'),
        ('y = "a"\nt = {x = ["a"]}\n', 'y = "a"\nt = {x = ["a", "b"]}\n'),
        ('[u]\nx = ["a"]\n[t]\nx = ["a"]\n', '[u]\nx = ["a"]\n[t]\nx = ["a", "b"]\n'),
    ],
)
def test_an_item_is_added_after_another(before: str, after: str) -> None:
    assert after == with_items(before, ("t", "x"), "a", ["a", "b"])


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "",
        "t = 1\n",
        '[t]\nx = "a"\n',
        '[t]\nx = {a = "a"}\n',
        '[t]\nx = ["b"]\n',
        '[t]\nx = ["\\u0061"]\n',
        '[t]\nx = ["""a"""]\n',
    ],
    ids=[
        "not TOML",
        "empty",
        "no table",
        "no list",
        "a table",
        "another item",
        "escaped",
        "three quotes",
    ],
)
def test_what_cannot_be_changed_safely_is_not(text: str) -> None:
    assert "" == with_items(text, ("t", "x"), "a", ["a", "b"])
