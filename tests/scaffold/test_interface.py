"""`hsu-worker new-interface`: in a project that `new` has made, and in others."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hsu_worker.master import Config
from hsu_worker.scaffold.interface import new_interface
from hsu_worker.scaffold.project import new_project
from tests.cli.inside import run
from tests.codegen.generated import texts

MADE = [
    "proto/my_svc_word_list.proto",
    "my_svc/word_list.py",
    "tests/test_word_list.py",
    "my_svc/gen/my_svc_word_list.py",
    "my_svc/gen/my_svc_word_list_pb2.py",
    "my_svc/gen/my_svc_word_list_pb2.pyi",
]
CHANGED = ["my_svc/worker.py", "hsu.toml"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project `my-svc`, which one stands in."""
    monkeypatch.chdir(tmp_path)
    new_project("my-svc")
    monkeypatch.chdir("my-svc")
    return Path.cwd()


def refused(*arguments: str, code: int = 1) -> str:
    """What a command that changes nothing says."""
    before = texts(Path())
    result = run("new-interface", *arguments)
    assert (code, "") == (result.exit_code, result.stdout)
    assert before == texts(Path())
    return result.stderr.partition("Error: ")[2].removesuffix("\n")


def test_it_says_what_it_has_made_and_what_comes_next(project: Path) -> None:
    before = texts(project)
    result = run("new-interface", "WordList")
    assert (0, "") == (result.exit_code, result.stderr)
    assert result.stdout == (
        "made my_svc.word_list.v1.WordList\n"
        + "".join(f"  {path}\n" for path in MADE)
        + "".join(f"  {path} (changed)\n" for path in CHANGED)
        + "\n"
        "Now write the contract into proto/my_svc_word_list.proto, and\n"
        "  hsu-worker gen proto/*.proto --out my_svc/gen\n"
    )
    after = texts(project)
    assert {*MADE} == after.keys() - before.keys()
    assert {*CHANGED} == {path for path in before if before[path] != after[path]}


def test_its_test_fails_until_it_is_done_and_the_others_pass(project: Path) -> None:
    new_interface("WordList")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 4 passed in " in done.stdout, done.stdout + done.stderr
    assert "UNIMPLEMENTED: WordList.Ask is still to do\n" in done.stdout


def test_the_app_and_the_unit_serve_it_too(project: Path) -> None:
    for name in ("WordList", "Alpha"):
        new_interface(name)
    assert (project / "my_svc/worker.py").read_text() == (
        '"""What a worker serves: `hsu-worker serve my_svc.worker:app`."""\n'
        "\n"
        "from hsu_worker import App\n"
        "\n"
        "from my_svc import __version__\n"
        "from my_svc.alpha import AlphaService\n"
        "from my_svc.service import MySvcService\n"
        "from my_svc.word_list import WordListService\n"
        "\n"
        "app = App(\n"
        "    MySvcService(),\n"
        "    WordListService(),\n"
        "    AlphaService(),\n"
        '    name="my-svc",\n'
        "    version=__version__,\n"
        ")\n"
    )
    assert Config.from_file("hsu.toml").units["my-svc"].implements == (
        "my_svc.v1.MySvc",
        "my_svc.word_list.v1.WordList",
        "my_svc.alpha.v1.Alpha",
    )


def test_its_files_are_listed_as_json() -> None:
    assert json.loads(run("new-interface", "WordList", "--json").stdout) == {
        "interface": "my_svc.word_list.v1.WordList",
        "files": MADE,
        "changed": CHANGED,
        "by_hand": [],
    }


def test_it_finds_the_project_from_a_folder_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("tests")
    made = json.loads(run("new-interface", "WordList", "--json").stdout)
    assert made["files"] == [f"../{path}" for path in MADE]
    assert made["changed"] == [f"../{path}" for path in CHANGED]


def test_what_cannot_be_changed_is_said(project: Path) -> None:
    (project / "hsu.toml").unlink()
    result = run("new-interface", "WordList")
    assert (0, "") == (result.exit_code, result.stderr)
    assert (
        "add WordListService() to the services of the App, and\n"
        "    from my_svc.word_list import WordListService\n"
        "hsu.toml: then add to what its unit implements\n"
        '    "my_svc.word_list.v1.WordList"\n'
    ) in result.stdout
    assert "changed" not in result.stdout


def test_a_floor_that_its_code_needs_is_written_too(project: Path) -> None:
    file = project / "pyproject.toml"
    old = 'dependencies = ["protobuf>=5"]'
    block = re.compile(r"^dependencies = \[.*?^\]", re.DOTALL | re.MULTILINE)
    file.write_text(block.sub(old, file.read_text()))
    assert Path("pyproject.toml") in new_interface("WordList").changed
    assert old not in file.read_text()


def test_what_is_there_is_not_overwritten(project: Path) -> None:
    for path in ("my_svc/word_list.py", "my_svc/gen/my_svc_word_list.py"):
        (project / path).touch()
    assert refused("WordList") == (
        "my_svc/word_list.py, my_svc/gen/my_svc_word_list.py: there already; choose another name"
    )


def test_the_projects_own_interface_is_there_already() -> None:
    assert refused("MySvc") == (
        "my_svc/service.py, proto/my_svc.proto, tests/test_service.py, my_svc/gen/my_svc.py: "
        "there already; choose another name"
    )


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (
            "word-list",
            (
                "interface 'word-list': it needs a name of letters and digits with a capital first; "
                "write WordList"
            ),
        ),
        (
            "Worker",
            (
                "interface 'Worker': its module would be worker, which the package has already; "
                "rename it"
            ),
        ),
    ],
)
def test_a_name_that_cannot_be_used_is_a_usage_error(name: str, problem: str) -> None:
    assert problem == refused(name, code=2)


def test_outside_a_project_it_says_where_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("..")
    assert refused("WordList") == (
        "there is no pyproject.toml here or above; go to a project, or make one: "
        "hsu-worker new mysvc"
    )


@pytest.mark.parametrize("text", ["not toml", "[tool]\n", "[project]\nname = 3\n"])
def test_a_project_without_a_name_is_told(text: str) -> None:
    Path("pyproject.toml").write_text(text)
    assert refused("WordList") == (
        'pyproject.toml says no name for the project; write name = "mysvc" under [project]'
    )


def test_a_project_with_another_layout_is_told() -> None:
    Path("pyproject.toml").write_text('[project]\nname = "Other.Svc"\n')
    assert refused("WordList") == (
        "there is no folder other_svc/gen; an interface can be added to a project with the layout "
        "of those that `hsu-worker new` makes"
    )


def test_ctrl_c_leaves_the_project_as_it_was(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, replace = texts(project), Path.replace

    def interrupted(self: Path, target: Path) -> None:
        if target.name == "hsu.toml":
            raise KeyboardInterrupt
        replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    result = run("new-interface", "WordList")
    assert (1, "\nAborted!\n") == (result.exit_code, result.stderr)
    assert before == texts(project)
