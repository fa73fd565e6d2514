"""The table of keys in docs/master.md is the one that the declarations make."""

from pathlib import Path

from hsu_worker.master.config import keys_table

PAGE = Path(__file__).parents[2] / "docs" / "master.md"


def test_the_page_holds_the_table_of_the_keys_as_they_are_declared() -> None:
    assert PAGE.read_text().endswith(keys_table())
