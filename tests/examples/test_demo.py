import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES

MAIN = EXAMPLES / "main" / "main.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "bread.md").write_text("# Bread\n\nBakers make dough of flour. Dough rises.\n")
    (folder / "mill.md").write_text("# Mill\n\nMillers make flour of wheat. Wheat is ground.\n")
    (folder / "sea.txt").write_text("Nobody bakes at sea.\n")
    return folder


def demo(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    state = folder.parent / "state"
    return subprocess.run(
        [sys.executable, str(MAIN), str(folder), "--state", str(state), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_two_runs_show_what_starts_and_stops_and_leave_nothing(folder: Path) -> None:
    first = demo(folder, "--query", "flour", "--sentences", "2")
    assert (0, "") == (first.returncode, first.stderr), first.stdout
    assert "3 documents, 0.0 MB" in first.stdout
    assert "ingested: 3 added, 0 replaced, 0 unchanged" in first.stdout
    assert re.search(r"^   [12]  bread.md  [0-9.]+\n      Bread: ", first.stdout, re.MULTILINE)
    assert re.search(r"^   1  (Bakers|Millers) make ", first.stdout, re.MULTILINE)
    for unit in ("index", "summarizer"):
        assert re.search(rf" s  {unit} +starting: a call of hsu\.", first.stdout, re.MULTILINE)
        assert re.search(rf" s  {unit} +ready after [0-9.]+ s", first.stdout, re.MULTILINE)
        assert re.search(rf" s  {unit} +stopped", first.stdout, re.MULTILINE)
    assert re.search(
        r"^  no process is left of the [1-9][0-9]* that ran$", first.stdout, re.MULTILINE
    )

    second = demo(folder, "--query", "flour", "--sentences", "2")
    assert (0, "") == (second.returncode, second.stderr), second.stdout
    assert "all 3 documents are there: nothing to ingest" in second.stdout
    assert "ingested" not in second.stdout
    assert "\x1b" not in second.stdout


def test_a_search_without_hits_does_not_start_the_summarizer(folder: Path) -> None:
    run = demo(folder, "--query", "nothing-like-it")
    assert (0, "") == (run.returncode, run.stderr), run.stdout
    assert "no document has any of these words" in run.stdout
    assert "summarizer" not in run.stdout


def test_a_folder_that_changed_is_indexed_again(folder: Path) -> None:
    demo(folder, "--query", "flour")
    (folder / "sea.txt").write_text("Sailors bake at sea.\n")
    changed = demo(folder, "--query", "sailors")
    assert "ingested: 0 added, 1 replaced, 2 unchanged" in changed.stdout
    (folder / "sea.txt").unlink()
    smaller = demo(folder, "--query", "sailors")
    assert "ingested: 2 added, 0 replaced, 0 unchanged" in smaller.stdout
    assert "no document has any of these words" in smaller.stdout
    # The index of the larger folder is not kept.
    assert 1 == len(list((folder.parent / "state").glob("*/*/index.sqlite3")))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "no such folder"),
        ("notes/bread.md", "not a folder"),
        ("empty", "no document in it that can be read (.adoc .markdown .md .rst .text .txt)"),
    ],
)
def test_a_folder_that_gives_nothing_is_named(folder: Path, name: str, message: str) -> None:
    (folder.parent / "empty").mkdir()
    wrong = folder.parent / name
    run = demo(wrong)
    assert (1, f"error: {wrong}: {message}\n") == (run.returncode, run.stderr)
    assert "starting" not in run.stdout


def test_files_that_are_no_text_are_named_and_left_out(folder: Path) -> None:
    (folder / "binary.md").write_bytes(b"\0\1\2")
    run = demo(folder, "--query", "flour")
    assert 0 == run.returncode
    assert "  binary.md: left out: binary, not text\n  3 documents" in run.stdout


def test_a_number_out_of_range_is_a_usage_error(folder: Path) -> None:
    run = demo(folder, "--hits", "0")
    assert 2 == run.returncode
    assert run.stderr.endswith("error: --hits must be from 1 to 100\n")
