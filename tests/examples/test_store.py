import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hsu_b_service1 import schema
from hsu_b_service1.schema import IndexUnusable
from hsu_b_service1.store import SNIPPET_LENGTH, Changes, Stats, Store, Unwanted, any_of

from hsu_worker.gen.hsu_b import Document

BREAD = Document(id="bread", title="Bread", text="Dough rises. Bake the dough.")
MILL = Document(id="mill", title="The mill", text="Wheat becomes flour in the mill.")
FIELD = Document(id="field", title="A field", text="Wheat grows and grows.")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "index.sqlite3")) as store:
        yield store


def ids(store: Store, *words: str, limit: int = 10) -> list[str]:
    return [hit.id for hit in store.search(words, limit)]


def digest(*documents: Document) -> str:
    """The digest as hsu_b.proto defines it, computed another way."""
    lines = {
        d.id.encode(): hashlib.sha256(f"{d.title}\0{d.text}".encode()).hexdigest().encode()
        for d in documents
    }
    return hashlib.sha256(
        b"".join(b"%s\n%s\n" % pair for pair in sorted(lines.items()))
    ).hexdigest()


def test_documents_are_found_by_the_words_of_text_and_title(store: Store) -> None:
    store.write([BREAD, MILL, FIELD])
    assert ["bread"] == ids(store, "DOUGH")
    assert ["field", "mill"] == sorted(ids(store, "wheat"))
    assert ["bread"] == ids(store, "bread")
    assert [] == ids(store, "oven")


def test_a_document_with_more_of_the_words_comes_first(store: Store) -> None:
    store.write([BREAD, FIELD, MILL])
    hits = list(store.search(["wheat", "flour"], 10))
    assert ["mill", "field"] == [hit.id for hit in hits]
    assert hits[0].score > hits[1].score > 0
    assert ["mill"] == ids(store, "wheat", "flour", limit=1)


def test_a_hit_has_title_text_and_the_part_with_the_words(store: Store) -> None:
    text = "Nothing here. " * 50 + "Then the dough\nrises. " + "Nothing here. " * 50
    store.write([Document(id="long", title="Long", text=text)])
    [hit] = store.search(["dough"], 10)
    assert ("long", "Long", text) == (hit.id, hit.title, hit.text)
    assert "Then the dough rises." in hit.snippet
    assert hit.snippet.startswith("…")
    assert hit.snippet.endswith("…")


def test_a_snippet_of_a_word_without_end_is_cut(store: Store) -> None:
    store.write([Document(id="long", text="dough " + "x" * 100_000)])
    [hit] = store.search(["dough"], 10)
    assert SNIPPET_LENGTH == len(hit.snippet)


def test_accents_and_case_make_no_difference(store: Store) -> None:
    store.write([Document(id="a", text="Crème brûlée; ПРИВЕТ; 東京 日本")])
    for word in ("creme", "BRÛLÉE", "привет", "東京"):
        assert ["a"] == ids(store, word)


@pytest.mark.parametrize(
    "word",
    ['"', "'", "*", "AND", "NOT", "NEAR(", "a:b", "text:dough", "-dough", "^dough", "dough*", "(", "a+b",
     "{title}", '"dough', "do\\ugh", ";", "--", "dough OR wheat"],
)  # fmt: skip
def test_no_word_is_taken_for_the_query_language(store: Store, word: str) -> None:
    store.write([BREAD, MILL])
    for words in ([word], [word, "oven"], ["oven", word]):
        assert set(ids(store, *words)) <= {"bread"}


def test_a_word_in_several_parts_is_found_where_they_stand_together(store: Store) -> None:
    store.write(
        [Document(id="a", text="hsu_worker starts"), Document(id="b", text="worker of hsu")]
    )
    assert ["a"] == ids(store, "hsu_worker")
    assert ["a"] == ids(store, "hsu-worker")


def test_words_are_quoted_and_joined() -> None:
    assert '"a" OR "b""c"' == any_of(["a", 'b"c'])


def test_changes_are_told(store: Store) -> None:
    assert Changes(added=2) == store.write([BREAD, MILL])
    newer = Document(id="bread", title="Bread", text="Yeast works.")
    titled = Document(id="mill", title="A mill", text=MILL.text)
    assert Changes(added=1, replaced=2) == store.write([newer, titled, FIELD])
    assert Changes(unchanged=3) == store.write([newer, titled, FIELD])
    assert Changes(added=1, replaced=1) == store.write(
        [Document(id="x", text="one"), Document(id="x", text="two")]
    )
    assert Changes() == store.write([])


def test_a_replaced_document_is_found_by_its_new_words_only(store: Store) -> None:
    store.write([BREAD])
    store.write([Document(id="bread", title="Loaf", text="Yeast works.")])
    assert ["bread"] == ids(store, "yeast")
    assert ["bread"] == ids(store, "loaf")
    assert [] == ids(store, "dough", "bread")
    assert store.stats().documents == 1


def test_a_nul_in_a_document_loses_nothing(store: Store) -> None:
    odd = Document(id="a\0b", title="t\0u", text="before\0after dough")
    store.write([odd])
    [hit] = store.search(["dough"], 10)
    assert (odd.id, odd.title, odd.text) == (hit.id, hit.title, hit.text)
    assert digest(odd) == store.stats().digest


def test_stats_are_those_of_the_documents(store: Store) -> None:
    assert Stats(0, 0, digest()) == store.stats()
    odd = [
        Document(id="é", text="ß"),
        Document(id="Z", text="z"),
        Document(id="a/b", text="c"),
        Document(id="a", title="x"),
        Document(id="\U0001f600", text="y"),
        Document(id="\uffff", text="y"),
    ]
    store.write([*odd, BREAD])
    size = sum(len(document.text.encode()) for document in [*odd, BREAD])
    assert Stats(7, size, digest(*odd, BREAD)) == store.stats()


def test_a_write_that_raises_leaves_nothing(store: Store) -> None:
    store.write([BREAD])
    before = store.stats()

    def broken() -> Iterator[Document]:
        yield Document(id="bread", title="Other", text="Other.")
        yield MILL
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        store.write(broken())
    assert before == store.stats()
    assert [] == ids(store, "mill", "other")
    assert Changes(added=1) == store.write([MILL])


@pytest.mark.parametrize("answers", [[False], [True, False], [True, True, False]])
def test_a_write_that_nobody_wants_leaves_nothing(store: Store, answers: list[bool]) -> None:
    wanted = iter(answers)
    with pytest.raises(Unwanted):
        store.write([BREAD, MILL], lambda: next(wanted))
    assert 0 == store.stats().documents


def test_a_search_during_a_write_sees_the_index_before_it(store: Store) -> None:
    store.write([BREAD])
    seen: list[tuple[list[str], int]] = []

    def documents() -> Iterator[Document]:
        yield MILL
        seen.append((ids(store, "mill"), store.stats().documents))

    store.write(documents())
    assert [([], 1)] == seen
    assert ["mill"] == ids(store, "mill")


def test_a_search_that_is_left_holds_up_nothing(store: Store) -> None:
    store.write([MILL, FIELD])
    hits = store.search(["wheat"], 10)
    next(hits)
    assert Changes(replaced=1) == store.write([Document(id="mill", text="Wheat again.")])
    assert {"field"} | {"mill"} >= {hit.id for hit in hits}


def test_what_was_written_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "index.sqlite3"
    with closing(Store(path)) as store:
        store.write([BREAD])
        expected = store.stats()
    with closing(Store(path)) as store:
        assert expected == store.stats()
        assert ["bread"] == ids(store, "dough")


WRITER = """
import sys
from pathlib import Path
from hsu_b_service1.store import Store
from hsu_worker.gen.hsu_b import Document

store = Store(Path(sys.argv[1]))
store.write(Document(id=f"kept {i}", text="kept") for i in range(100))
print("acknowledged", flush=True)

def half_a_stream():
    for i in range(5_000):
        yield Document(id=f"lost {i}", text="lost " * 100)
    print("half-way", flush=True)
    sys.stdin.read()

store.write(half_a_stream())
"""


def test_a_process_killed_within_a_write_loses_that_write_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert [b"acknowledged\n", b"half-way\n"] == [process.stdout.readline() for _ in range(2)]
        process.kill()
    kept = [Document(id=f"kept {i}", text="kept") for i in range(100)]
    with closing(Store(path)) as store:
        assert Stats(100, 400, digest(*kept)) == store.stats()
        assert [] == ids(store, "lost")
        assert 100 == len(ids(store, "kept", limit=1_000))
        assert Changes(added=1) == store.write([BREAD])


def test_commits_are_synced_to_the_disk(store: Store) -> None:
    connection = store._writer
    assert ("wal",) == connection.execute("PRAGMA journal_mode").fetchone()
    full = 2
    assert (full,) == connection.execute("PRAGMA synchronous").fetchone()


def test_an_index_of_another_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "index.sqlite3"
    Store(path).close()
    monkeypatch.setattr(schema, "VERSION", 2)
    with pytest.raises(IndexUnusable) as refused:
        Store(path)
    assert (
        f"index {path}: its tables are of version 1, this package's of version 2; "
        "delete the file and ingest again, or install the package that made it"
    ) == str(refused.value)


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE documents (mine)")
    before = path.read_bytes()
    with pytest.raises(IndexUnusable) as refused:
        Store(path)
    assert (
        f"index {path}: a database of another program; give another path in HSU_B_INDEX"
    ) == str(refused.value)
    assert before == path.read_bytes()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary " * 100)
    with pytest.raises(IndexUnusable) as refused:
        Store(path)
    assert (f"index {path}: file is not a database; give another path in HSU_B_INDEX") == str(
        refused.value
    )
    assert "dear diary " * 100 == path.read_text()


def test_a_folder_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(IndexUnusable) as refused:
        Store(tmp_path)
    assert (
        f"index {tmp_path}: unable to open database file; give another path in HSU_B_INDEX"
    ) == str(refused.value)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(IndexUnusable, match=r"index .*/file/index: .*File exists.*HSU_B_INDEX"):
        Store(tmp_path / "file" / "index")
