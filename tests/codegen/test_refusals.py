"""What can't become Python is refused: all of it at once, with the place and the cure."""

import shlex
import sys
from pathlib import Path

import pytest

from hsu_worker.codegen.generate import generate
from hsu_worker.errors import CodegenError
from tests.codegen.generated import REFUSED, STRANGER

HEAD = 'syntax = "proto3";\n'


def refused(*protos: Path, proto_path: tuple[Path, ...] = (), protoc: str = "") -> str:
    """The message with which the files are refused."""
    out = protos[0].parent / "gen"
    with pytest.raises(CodegenError) as caught:
        generate(protos, out=out, proto_path=proto_path, protoc=protoc)
    assert not out.exists()
    return str(caught.value)


def write(folder: Path, **texts: str) -> list[Path]:
    """Write `.proto` files into a folder; `__` in a name stands for a folder."""
    files = [folder / f"{name.replace('__', '/')}.proto" for name in texts]
    for file, text in zip(files, texts.values(), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return files


@pytest.mark.parametrize("name", ["clashes", "members"])
def test_every_clash_of_names_is_told_with_its_line_and_its_cure(name: str) -> None:
    said = refused(REFUSED / f"{name}.proto").replace(f"{REFUSED}/", "")
    assert said.splitlines() == (REFUSED / f"{name}.txt").read_text().splitlines()


def test_two_files_that_hand_on_the_same_name_are_refused(tmp_path: Path) -> None:
    first, second, both = write(
        tmp_path,
        first=f"{HEAD}package first;\nmessage Same {{}}\n",
        second=f"{HEAD}package second;\nmessage Same {{}}\n",
        both=f'{HEAD}import public "first.proto";\nimport public "second.proto";\n',
    )
    assert refused(both, first, second) == (
        f"{both}:3: import public: `Same` of second.proto would also be `Same` of first.proto; "
        "rename one of the two, or import without `public`"
    )


def test_the_same_file_may_be_handed_on_by_two_ways(tmp_path: Path) -> None:
    files = write(
        tmp_path,
        leaf=f"{HEAD}message Leaf {{}}\n",
        left=f'{HEAD}import public "leaf.proto";\n',
        right=f'{HEAD}import public "leaf.proto";\n',
        top=f'{HEAD}import public "left.proto";\nimport public "right.proto";\n',
    )
    made = generate(files, out=tmp_path / "gen").files
    assert made[tmp_path / "gen" / "top.py"].endswith('__all__ = [\n    "Leaf",\n]\n')


def test_proto2_is_refused_in_one_sentence_whatever_else_is_wrong() -> None:
    old, older = REFUSED / "old.proto", REFUSED / "older.proto"
    assert refused(old, older).splitlines() == [
        f'{old}:2: written in proto2, and contracts are proto3 only; write syntax = "proto3";',
        f'{older}:1: written in proto2, and contracts are proto3 only; write syntax = "proto3";',
    ]


def test_an_edition_is_refused() -> None:
    file = REFUSED / "edition.proto"
    assert refused(file) == (
        f'{file}:1: written in an edition, and contracts are proto3 only; write syntax = "proto3";'
    )


def test_a_comment_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "latin.proto"
    file.write_bytes(f"{HEAD}\n// Caf\xe9.\nmessage Latin {{}}\n".encode("latin-1"))
    assert refused(file) == f"{file}:4: the comment here is not UTF-8; save the file as UTF-8"


def test_a_proto_that_does_not_compile_gets_the_lines_of_protoc() -> None:
    file = REFUSED / "broken.proto"
    assert refused(file) == f'{file}:5:3: Expected ";".'


def test_an_import_that_is_not_found_says_where_was_looked() -> None:
    file = REFUSED / "missing_import.proto"
    assert refused(file).splitlines() == [
        "nowhere.proto: File not found.",
        f'{file}:3:1: Import "nowhere.proto" was not found or had errors.',
        f'{file}:6:3: "nowhere.Thing" is not defined.',
        f"imports are looked for in {REFUSED}; name other folders with -I",
    ]


def test_a_file_outside_the_proto_path_is_refused(tmp_path: Path) -> None:
    [file] = write(tmp_path, elsewhere__a=HEAD)
    inside = tmp_path / "protos"
    inside.mkdir()
    assert refused(file, proto_path=(inside,)) == (
        f"{file}: lies in no folder of the proto path ({inside}); add -I {file.parent}"
    )


def test_two_files_with_one_name_are_refused(tmp_path: Path) -> None:
    first, second, hidden = write(tmp_path, r1__ok=HEAD, r2__ok=HEAD, r2__sub__other=HEAD)
    roots = (first.parent, second.parent)
    said = f"{second}: is called ok.proto in imports, as {first} is; rename one of the two"
    assert refused(first, second, proto_path=roots) == said
    # Alone it would have been taken for the other.
    assert refused(hidden, second, proto_path=roots) == said


def test_a_file_may_be_given_twice_and_by_a_detour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, ok=HEAD, sub__ok2=HEAD)
    monkeypatch.chdir(tmp_path)
    for ways in (["sub/../ok.proto"], ["sub/../ok.proto", "./ok.proto", "ok.proto"]):
        protos = [*map(Path, ways), Path("sub/ok2.proto")]
        made = generate(protos, out=tmp_path / "gen").files
        assert ["ok.py", "sub/ok2.py"] == [
            str(file.relative_to(tmp_path / "gen")) for file in made if "_pb2" not in file.name
        ]


def test_files_that_come_with_hsu_worker_or_protobuf_are_refused(tmp_path: Path) -> None:
    core, empty, text = (
        *write(tmp_path, hsu_core=HEAD, google__protobuf__empty=HEAD),
        tmp_path / "notes.txt",
    )
    text.touch()
    assert refused(core, empty, text).splitlines() == [
        (
            f"{core}: hsu_core.proto comes with hsu_worker, as hsu_worker.gen.hsu_core; leave the "
            "file out, or rename it if it is another "
            '(import "hsu_core.proto" works without a copy)'
        ),
        f"{empty}: comes with protobuf, as google.protobuf; leave the file out",
        f"{text}: is not called *.proto; rename it",
    ]


def test_a_copy_of_hsu_core_is_not_looked_at(tmp_path: Path) -> None:
    _, file = write(
        tmp_path,
        hsu_core=f"{HEAD}package hsu.core.v1;\n",
        mine=f'{HEAD}import "hsu_core.proto";\nmessage Mine {{ hsu.core.v1.State state = 1; }}\n',
    )
    made = generate([file], out=tmp_path / "gen").files
    assert [path.name for path in made] == ["mine.py", "mine_pb2.py", "mine_pb2.pyi"]
    stubs = made[tmp_path / "gen" / "mine_pb2.pyi"]
    assert "from hsu_worker.gen import hsu_core_pb2 as _hsu_core_pb2\n" in stubs


def test_files_that_make_no_module_are_refused(tmp_path: Path) -> None:
    files = write(
        tmp_path,
        **{"class": HEAD, "1st": HEAD, "a-b": HEAD, "a_b": HEAD, "c": HEAD, "c_pb2": HEAD},
        import__x=HEAD,
        c__d=HEAD,
    )
    assert refused(*files).splitlines() == [
        "1st.proto: `1st` can't be the name of a Python module; rename the file or folder",
        "a_b.proto: makes the module a_b, as a-b.proto does; rename one of the two",
        "a_b.proto: makes the module a_b_pb2, as a-b.proto does; rename one of the two",
        "c_pb2.proto: makes the module c_pb2, as c.proto does; rename one of the two",
        "class.proto: `class` can't be the name of a Python module; rename the file or folder",
        "import/x.proto: `import` can't be the name of a Python module; rename the file or folder",
        "c/d.proto: its folder would hide the module c of c.proto; rename one of the two",
    ]


def test_a_compiler_that_is_not_there_is_told_with_the_cure() -> None:
    assert refused(REFUSED / "forwarded.proto", protoc="no-such-protoc --flag") == (
        "can't run no-such-protoc: No such file or directory; install it with: "
        "pip install 'hsu-worker[gen]'; or name another one with --protoc"
    )


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("true", "true wrote no descriptors, as protoc does; {}"),
        ("a 'b", '--protoc "a \'b": No closing quotation; write it as in a shell'),
        (" ", "--protoc ' ' names no program; {}"),
    ],
)
def test_what_is_no_compiler_is_named_with_the_cure(command: str, problem: str) -> None:
    cure = "install it with: pip install 'hsu-worker[gen]'; or name another one with --protoc"
    assert refused(REFUSED / "forwarded.proto", protoc=command) == problem.format(cure)


def test_without_grpcio_tools_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert refused(REFUSED / "forwarded.proto") == (
        "there is no protobuf compiler; install it with: "
        "pip install 'hsu-worker[gen]'; or name another one with --protoc"
    )


def test_a_compiler_that_fails_without_a_word_is_named(tmp_path: Path) -> None:
    silent = f"{shlex.quote(sys.executable)} -c 'raise SystemExit(1)'"
    assert refused(STRANGER[-1], protoc=silent) == (
        f"{shlex.join(shlex.split(silent))} says nothing, and fails"
    )
