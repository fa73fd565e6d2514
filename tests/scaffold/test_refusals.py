"""What `hsu-worker new` refuses: everything that is wrong at once, with the cure; nothing is left."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from hsu_worker.scaffold import versions
from tests.cli.inside import run
from tests.cli.shell import COMMAND
from tests.worker.process import environment

#: Stands for a compiler that takes its time.
SLOW_COMPILER = """
import os, time
os.close(os.open("begun", os.O_WRONLY))
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(versions, "version", missing)


def refused(*arguments: str, code: int = 2) -> list[str]:
    """What a command that makes nothing says."""
    before = sorted(Path().rglob("*"))
    result = run("new", *arguments)
    assert (code, "") == (result.exit_code, result.stdout)
    assert before == sorted(Path().rglob("*"))
    _, _, text = result.stderr.partition("Error: ")
    return text.splitlines()


_FORM = "it needs small letters and digits, with - or _ between them, and a letter first"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("MySvc", f"'MySvc' is no name for a project: {_FORM}; try my-svc"),
        ("my svc", f"'my svc' is no name for a project: {_FORM}; try my-svc"),
        ("../far/my-svc", f"'../far/my-svc' is no name for a project: {_FORM}; try my-svc"),
        ("2fast", f"'2fast' is no name for a project: {_FORM}; try my-svc"),
        ("a--b", f"'a--b' is no name for a project: {_FORM}; try a-b"),
        ("größe", f"'größe' is no name for a project: {_FORM}; try my-svc"),
        ("", f"'' is no name for a project: {_FORM}; try my-svc"),
        ("a" * 41, f"'{'a' * 41}' has 41 characters, 40 are possible; shorten it"),
        ("class", "'class' is a Python keyword, and no package can be called so; try class-svc"),
        ("json", "'json' would hide Python's own module json; try json-svc"),
        ("grpc", "'grpc' would hide the module grpc, which is installed; try grpc-svc"),
        ("google", "'google' would hide the module google, which is installed; try google-svc"),
        ("hsu-worker", "'hsu-worker' would hide the module hsu_worker, which is installed; "),
        ("deploy", "'deploy' would hide the project's own folder deploy; try deploy-svc"),
        (
            "types-protobuf",
            "'types-protobuf' would hide the package types-protobuf, which the project needs; try ",
        ),
        (
            "hsu-a",
            (
                "interface 'HsuA': hsu_a.proto comes with hsu_worker, and one process can't load two "
                "files of one name; rename it"
            ),
        ),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(name: str, problem: str) -> None:
    (text,) = refused(name)
    assert text.startswith(problem)


@pytest.mark.parametrize(
    ("interfaces", "problem"),
    [
        (
            ["greeter"],
            (
                "interface 'greeter': it needs a name of letters and digits with a capital first; "
                "write Greeter"
            ),
        ),
        (
            ["word-list"],
            (
                "interface 'word-list': it needs a name of letters and digits with a capital first; "
                "write WordList"
            ),
        ),
        (
            ["1"],
            (
                "interface '1': it needs a name of letters and digits with a capital first; "
                "try WordList"
            ),
        ),
        (["A" * 41], f"interface '{'A' * 41}' has 41 characters, 40 are possible; shorten it"),
        (["None"], "interface 'None': `None` is Python's own; rename it"),
        (["Exception"], "interface 'Exception': `Exception` is Python's own; rename it"),
        (["Path"], "interface 'Path': the code beside it needs the name `Path`; rename it"),
        (
            ["CountRequest"],
            "interface 'CountRequest': the code beside it needs the name `CountRequest`; rename it",
        ),
        (
            ["Class"],
            "interface 'Class': its module would be class, which is a Python keyword; rename it",
        ),
        (
            ["Gen"],
            "interface 'Gen': its module would be gen, which the package has already; rename it",
        ),
        (
            ["Worker"],
            (
                "interface 'Worker': its module would be worker, which the package has already; "
                "rename it"
            ),
        ),
        (["Store", "Store"], "interface 'Store' is named twice; name it once"),
        (
            ["Wordlist", "WordList"],
            (
                "interfaces 'Wordlist' and 'WordList' differ in nothing but capitals; "
                "rename one of the two"
            ),
        ),
        (
            ["MySvc", "Service"],
            (
                "interfaces 'MySvc' and 'Service' would both be in the module service; "
                "rename one of the two"
            ),
        ),
        (
            ["MySvc", "Mysvc"],
            "interfaces 'MySvc' and 'Mysvc' differ in nothing but capitals; rename one of the two",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_interface_that_cannot_be_made_is_refused(interfaces: list[str], problem: str) -> None:
    assert [problem] == refused("my-svc", *(f"--interface={name}" for name in interfaces))


def test_a_folder_that_is_not_empty_is_refused() -> None:
    Path("my-svc").mkdir()
    for name in "abcde":
        Path("my-svc", name).touch()
    assert refused("my-svc", code=1) == [
        "my-svc is not empty: it holds a, b, c and 2 more; name another folder with --into"
    ]
    Path("file").touch()
    assert refused("my-svc", "--into", ".", code=1) == [
        "this folder is not empty: it holds file, my-svc; name another folder with --into"
    ]


def test_a_file_in_the_place_of_the_folder_is_refused() -> None:
    Path("my-svc").touch()
    assert refused("my-svc", code=1) == ["my-svc: Not a directory; name another folder with --into"]
    assert refused("my-svc", "--into", "my-svc/deeper", code=1) == [
        "my-svc/deeper: Not a directory; name another folder with --into"
    ]


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_nothing_is_made() -> None:
    assert refused("my-svc", code=1) == [
        "there is no protobuf compiler; install it with: pip install 'hsu-worker[gen]'"
    ]


@pytest.mark.usefixtures("no_compiler")
def test_all_that_is_wrong_is_told_at_once() -> None:
    Path("there").mkdir()
    Path("there", "file").touch()
    assert refused("json", "--interface", "greeter", "--interface", "Path", "--into", "there") == [
        "'json' would hide Python's own module json; try json-svc",
        (
            "interface 'greeter': it needs a name of letters and digits with a capital first; "
            "write Greeter"
        ),
        "interface 'Path': the code beside it needs the name `Path`; rename it",
        "there is not empty: it holds file; name another folder with --into",
        "there is no protobuf compiler; install it with: pip install 'hsu-worker[gen]'",
    ]


def test_a_folder_that_cannot_be_written_is_told() -> None:
    Path("proc").symlink_to("/proc")
    assert refused("my-svc", "--into", "proc/my-svc", code=1) == [
        "can't write proc/my-svc/.dockerignore: No such file or directory"
    ]


async def test_ctrl_c_while_it_compiles_leaves_nothing(tmp_path: Path) -> None:
    package, place, scratch = tmp_path / "grpc_tools", tmp_path / "place", tmp_path / "scratch"
    for folder in (package, place, scratch):
        folder.mkdir()
    (package / "__init__.py").touch()
    (package / "protoc.py").write_text(SLOW_COMPILER)
    os.mkfifo(place / "begun")
    variables = environment(TMPDIR=str(scratch))
    variables["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{variables['PYTHONPATH']}"
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "new", "my-svc"),
        cwd=place,
        env=variables,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
    )
    # Opens when the compiler has opened its end.
    async with asyncio.timeout(20):
        os.close(await asyncio.to_thread(os.open, place / "begun", os.O_RDONLY))
    # As a terminal does: the whole group.
    os.killpg(process.pid, signal.SIGINT)
    async with asyncio.timeout(20):
        out, errors = await process.communicate()
    assert (1, b"", b"\nAborted!\n") == (process.returncode, out, errors)
    assert [place / "begun"] == list(place.iterdir())
    assert [] == list(scratch.iterdir())
