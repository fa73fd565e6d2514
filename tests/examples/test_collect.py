import os
from pathlib import Path

import collect
import pytest
from collect import NothingToIndex

from hsu_worker.gen.hsu_b import Document, GetStatsRequest, IngestRequest, InterfaceB
from hsu_worker.testing import running


@pytest.fixture
def remarks() -> list[str]:
    return []


def test_a_folder_gives_its_text_files_in_order(tmp_path: Path, remarks: list[str]) -> None:
    (tmp_path / "b.txt").write_text("Second.")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Z.MD").write_text("\ufeff# The *first*\n\nText.", "utf-8")
    for hidden in (".git/x.md", "node_modules/x.md", "venv/x.md", "code.py"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_text("Not this.")
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    assert [
        Document(id="b.txt", title="b.txt", text="Second."),
        Document(id="a/Z.MD", title="The *first*", text="# The *first*\n\nText."),
    ] == collect.from_folder(tmp_path, remarks.append)
    assert [] == remarks


def test_what_cannot_be_read_is_left_out_and_said(
    tmp_path: Path, remarks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "MAX_BYTES", 1 << 20)
    (tmp_path / "binary.txt").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / "gone.md").symlink_to("nowhere")
    (tmp_path / "latin.txt").write_bytes("Crème".encode("latin-1"))
    (tmp_path / "long.txt").write_text("x" * ((1 << 20) + 1))
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "good.md").write_text("Good.")
    assert ["good.md"] == [d.id for d in collect.from_folder(tmp_path, remarks.append)]
    assert [
        "binary.txt: left out: binary, not text",
        "empty.md: left out: empty",
        "gone.md: left out: not a regular file",
        "latin.txt: left out: not text in UTF-8",
        "long.txt: left out: longer than 1 MiB",
        "pipe.txt: left out: not a regular file",
    ] == remarks


def test_a_name_that_is_not_utf8_is_shown_and_stays_one_of_its_own(
    tmp_path: Path, remarks: list[str]
) -> None:
    for name in (b"caf\xe9.txt", b"caf\xe8.txt", b"empty\xff.txt"):
        (tmp_path / os.fsdecode(name)).write_text("Text." if b"caf" in name else "")
    (tmp_path / "café.txt").write_text("Text.")
    documents = collect.from_folder(tmp_path, remarks.append)
    assert ["café.txt", "caf\\udce8.txt", "caf\\udce9.txt"] == [d.id for d in documents]
    assert [d.id for d in documents] == [d.title for d in documents]
    assert ["empty\\udcff.txt: left out: empty"] == remarks


def test_a_file_that_may_not_be_read_is_left_out_and_said(
    tmp_path: Path, remarks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A mode would not keep root out.
    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "secret.md").write_text("Secret.")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(NothingToIndex):
        collect.from_folder(tmp_path, remarks.append)
    assert ["secret.md: left out: Permission denied"] == remarks


def test_a_folder_without_documents_is_refused(tmp_path: Path, remarks: list[str]) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder, message in (
        (tmp_path / "nowhere", "no such folder"),
        (file, "not a folder"),
        (
            tmp_path,
            "no document in it that can be read (.adoc .markdown .md .rst .text .txt)",
        ),
    ):
        with pytest.raises(NothingToIndex) as refused:
            collect.from_folder(folder, remarks.append)
        assert f"{folder}: {message}" == str(refused.value)


def test_there_is_a_bound_on_the_documents_of_a_folder(
    tmp_path: Path, remarks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "MAX_DOCUMENTS", 3)
    for i in range(5):
        (tmp_path / f"{i}.md").write_text("Text.")
    assert ["0.md", "1.md", "2.md"] == [d.id for d in collect.from_folder(tmp_path, remarks.append)]
    assert [f"{tmp_path}: more than 3 documents; the rest is left out"] == remarks


def test_this_machine_has_some_hundred_documents(remarks: list[str]) -> None:
    documents = collect.from_environment(remarks.append)
    assert [] == remarks
    assert 200 < len(documents) < 5_000
    ids = [document.id for document in documents]
    assert len(set(ids)) == len(ids)
    assert {
        "project/README.md",
        "project/proto/hsu_b.proto",
        "package/click",
        "python/topic/with",
        "python/module/subprocess",
    } <= set(ids)
    assert all(document.text.strip() and document.title for document in documents)


def test_of_a_proto_the_comments_are_taken(tmp_path: Path) -> None:
    text = next(
        document.text
        for document in collect.from_environment(lambda _: None)
        if document.id == "project/proto/hsu_b.proto"
    )
    assert "What the index holds." in text
    assert "buf:lint" not in text
    assert "string id" not in text


async def test_the_digest_is_that_of_the_index(tmp_path: Path) -> None:
    from hsu_b_service1.service import Index

    documents = [Document(id=id_, title=f"T{id_}", text=f"x {id_}") for id_ in ("b", "a/é", "a")]
    async with running(Index(tmp_path / "index")) as worker:
        client = worker.client(InterfaceB)
        await client.ingest([IngestRequest(document=document) for document in documents])
        stats = await client.get_stats(GetStatsRequest())
    assert collect.digest(documents) == stats.digest


def test_typical_words_find_something() -> None:
    texts = ["bakers bake the bread", "bakers and millers", "millers grind", "nobody is here"]
    documents = [Document(id=text, text=text) for text in texts]
    assert "bakers millers" == collect.typical_words(documents, 2)
    assert "ox" == collect.typical_words([Document(id="x", text="ox")])
    assert "ox" == collect.typical_words(
        [Document(id="-", text="---"), Document(id="x", text="# ox")]
    )
