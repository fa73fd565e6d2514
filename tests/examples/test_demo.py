import os
import re
import signal
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


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, str(MAIN), str(folder), "--state", f"{folder.parent}/state", *arguments]


def demo(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command(folder, *arguments), capture_output=True, text=True, check=False)


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
    assert "3 documents in the index already: nothing to ingest" in second.stdout
    assert "ingested" not in second.stdout
    assert "\x1b" not in second.stdout


def test_one_document_is_one(folder: Path) -> None:
    for file in ("mill.md", "sea.txt"):
        (folder / file).unlink()
    first, second = (demo(folder, "--query", "flour") for _ in range(2))
    assert "\n  1 document, 0.0 MB\n" in first.stdout
    assert "\n  1 document in the index already: nothing to ingest\n" in second.stdout


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


def test_a_file_name_that_is_not_utf8_and_a_colour_in_a_text_do_no_harm(folder: Path) -> None:
    (folder / os.fsdecode(b"flour\xff.txt")).write_text("Flour \x1b[31mis red\x1b[2J.\n")
    run = demo(folder, "--query", "red")
    assert (0, "") == (run.returncode, run.stderr), run.stdout
    assert "      flour\\udcff.txt: Flour  [31mis red [2J." in run.stdout
    assert "\x1b" not in run.stdout


def test_a_query_that_is_not_utf8_is_a_usage_error(folder: Path) -> None:
    run = demo(folder, "--query", os.fsdecode(b"a\xff"))
    assert 2 == run.returncode
    assert run.stderr.endswith("error: argument -q/--query: not UTF-8\n")


def test_an_index_that_is_broken_is_told_once_and_named(folder: Path) -> None:
    assert 0 == demo(folder, "--query", "nothing-like-it").returncode
    [index] = (folder.parent / "state").glob("*/*/index.sqlite3")
    index.write_text("not a database, and long enough for one" * 30)
    run = demo(folder, "--query", "flour")
    assert 1 == run.returncode
    [failed] = [line for line in run.stdout.splitlines() if "failed" in line]
    assert failed.endswith(f"{index}: file is not a database; give another path in HSU_B_INDEX")
    first, *_, last = run.stderr.splitlines()
    assert first.startswith("error: unit 'index' did not start: ")
    assert (
        f"This program sets HSU_B_INDEX itself. If the index is broken, delete {index}: "
        "it is made again. --state keeps it elsewhere."
    ) == last
    assert 1 == run.stderr.count("did not start")


def test_ctrl_c_ends_the_reading_of_documents_at_once(folder: Path) -> None:
    # More remarks than a pipe holds: it stands in the middle until somebody reads them.
    for i in range(1000):
        (folder / f"{i}{'x' * 200}.md").touch()
    with subprocess.Popen(
        command(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert ["\n", f"Documents of {folder}\n"] == [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert (130, "") == (process.returncode, stderr)
    assert "documents, " not in stdout


def test_a_number_out_of_range_is_a_usage_error(folder: Path) -> None:
    run = demo(folder, "--hits", "0")
    assert 2 == run.returncode
    assert run.stderr.endswith("error: --hits must be from 1 to 100\n")
