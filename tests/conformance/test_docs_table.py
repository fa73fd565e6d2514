"""The table of checks in docs/conformance.md is the one that the checks make."""

from hsu_worker.conformance.catalog import table
from tests.conformance.stubs import ROOT


def test_the_page_holds_the_table_of_the_checks() -> None:
    assert (ROOT / "docs" / "conformance.md").read_text().endswith(table())
