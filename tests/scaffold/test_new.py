"""`hsu-worker new`: what it makes."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from hsu_worker.codegen.floor import floor_of
from hsu_worker.master import Config
from hsu_worker.scaffold import versions
from tests import test_docs
from tests.cli.inside import run

BIN = Path(sys.executable).parent

WHOLE = [
    ".dockerignore",
    ".github/workflows/ci.yml",
    ".gitignore",
    "Dockerfile",
    "Makefile",
    "README.md",
    "buf.yaml",
    "deploy/kubernetes.yaml",
    "hsu.toml",
    "my_svc/__init__.py",
    "my_svc/common_words.txt",
    "my_svc/gen/__init__.py",
    "my_svc/gen/my_svc.py",
    "my_svc/gen/my_svc_pb2.py",
    "my_svc/gen/my_svc_pb2.pyi",
    "my_svc/py.typed",
    "my_svc/service.py",
    "my_svc/worker.py",
    "proto/my_svc.proto",
    "pyproject.toml",
    "tests/test_service.py",
]
ONLY_WHOLE = {
    ".dockerignore",
    ".github/workflows/ci.yml",
    ".gitignore",
    "Dockerfile",
    "Makefile",
    "buf.yaml",
    "deploy/kubernetes.yaml",
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    # As from an index; these tests run from a clone.
    monkeypatch.setattr(versions, "clone", lambda: None)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def said(*arguments: str) -> str:
    result = run("new", *arguments)
    assert (0, "") == (result.exit_code, result.stderr)
    return result.stdout


def test_a_project_is_made_whole() -> None:
    assert said("my-svc") == (
        "made my-svc, 21 files, with my_svc.v1.MySvc\n"
        "\n"
        "  cd my-svc\n"
        "  make install\n"
        "  make test\n"
        "  make master\n"
    )
    assert WHOLE == files(Path("my-svc"))


def test_a_minimal_project_is_what_it_takes_to_run() -> None:
    assert said("my-svc", "--minimal") == (
        "made my-svc, 14 files, with my_svc.v1.MySvc\n"
        "\n"
        "  cd my-svc\n"
        "  python3 -m venv .venv && .venv/bin/pip install --editable '.[dev]'\n"
        "  .venv/bin/python -m pytest\n"
        "  .venv/bin/hsu-worker master run hsu.toml\n"
    )
    assert sorted({*WHOLE} - ONLY_WHOLE) == files(Path("my-svc"))


@pytest.mark.parametrize("options", [[], ["--minimal"]], ids=["whole", "minimal"])
def test_nothing_of_the_template_is_left(options: list[str]) -> None:
    said("my-svc", "--interface", "WordList", *options)
    texts = {path: Path("my-svc", path).read_text() for path in files(Path("my-svc"))}
    left = re.compile(r"hsu[-_]?(template|interface|todo)", re.IGNORECASE)
    assert [] == [path for path, text in texts.items() if left.search(f"{path}\n{text}")]


@pytest.mark.parametrize("options", [[], ["--minimal"]], ids=["whole", "minimal"])
def test_the_links_of_its_readme_lead_somewhere(options: list[str]) -> None:
    said("my-svc", *options)
    test_docs.test_the_links_of_a_page_lead_somewhere(Path("my-svc/README.md").absolute())


def test_the_files_are_listed_as_json() -> None:
    assert json.loads(said("my-svc", "--json")) == {
        "folder": "my-svc",
        "interfaces": ["my_svc.v1.MySvc"],
        "files": [f"my-svc/{name}" for name in WHOLE],
    }


@pytest.mark.parametrize("options", [[], ["--minimal"]], ids=["whole", "minimal"])
def test_it_asks_for_what_it_was_made_with(options: list[str]) -> None:
    said("my-svc", *options)
    project = tomllib.loads(Path("my-svc/pyproject.toml").read_text())["project"]
    floor = floor_of([Path("my-svc/my_svc/gen/my_svc_pb2.py").read_text()])
    ours, *others = project["dependencies"]
    assert f"hsu-worker>={version('hsu-worker')}" == ours
    # Without a line of its own, the floor that comes with hsu-worker is high enough.
    assert others == ([] if floor == "6.31.1" else [f"protobuf>={floor}"])
    assert (
        options
        or f"grpcio-tools=={version('grpcio-tools')}" in (project["optional-dependencies"]["dev"])
    )


#: Names that sort before, between and after those beside them; constants, acronyms, numbers.
INTERFACES = ["WordList", "HTTPStore", "KV", "Alpha", "Store10", "Store2", "A", "MySvc", "XService"]
#: As long as names may be.
LONG = ["A123456789b123456789c123456789d123456789"]


@pytest.mark.parametrize(
    ("name", "interfaces"),
    [
        ("my-svc", INTERFACES),
        ("worker", ["Generated"]),
        ("message", []),
        ("x-2y", []),
        ("a123456789-b123456789-c123456789-d123456", LONG),
    ],
    ids=["many interfaces", "worker", "message", "number", "long"],
)
def test_its_linters_find_nothing(name: str, interfaces: list[str]) -> None:
    said(name, *(f"--interface={interface}" for interface in interfaces), "--into", "made")
    for command in (
        ["ruff", "format", "--no-cache", "--check", "."],
        ["ruff", "check", "--no-cache", "."],
        ["buf", "lint"],
        ["buf", "format", "--diff", "--exit-code"],
    ):
        done = subprocess.run(
            [BIN / command[0], *command[1:]],
            cwd="made",
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == done.returncode, done.stdout


def test_each_interface_has_its_files_and_one_app_serves_all() -> None:
    said("my-svc", *(f"--interface={interface}" for interface in INTERFACES))
    modules = [
        "a",
        "alpha",
        "http_store",
        "kv",
        "service",
        "store2",
        "store10",
        "word_list",
        "x_service",
    ]
    stems = ["my_svc" if name == "service" else f"my_svc_{name}" for name in modules]
    made = {*files(Path("my-svc"))}
    for module, stem in zip(modules, stems, strict=True):
        expected = {
            f"proto/{stem}.proto",
            f"my_svc/{module}.py",
            f"my_svc/gen/{stem}.py",
            f"my_svc/gen/{stem}_pb2.py",
            f"my_svc/gen/{stem}_pb2.pyi",
            f"tests/test_{module}.py",
        }
        assert expected <= made
        made -= expected
    assert {*WHOLE} > made
    unit = Config.from_file("my-svc/hsu.toml").units["my-svc"]
    assert unit.implements == (
        "my_svc.a.v1.A",
        "my_svc.alpha.v1.Alpha",
        "my_svc.http_store.v1.HTTPStore",
        "my_svc.kv.v1.KV",
        "my_svc.v1.MySvc",
        "my_svc.store10.v1.Store10",
        "my_svc.store2.v1.Store2",
        "my_svc.word_list.v1.WordList",
        "my_svc.x_service.v1.XService",
    )
    served = re.findall(
        r"^    (\w+)\(\),$", Path("my-svc/my_svc/worker.py").read_text(), re.MULTILINE
    )
    assert served == [
        "AService",
        "AlphaService",
        "HTTPStoreService",
        "KVService",
        "MySvcService",
        "Store10Service",
        "Store2Service",
        "WordListService",
        "XServiceImpl",
    ]


@pytest.mark.parametrize("into", [".", "there", "there/and/deeper"])
def test_it_can_be_made_in_another_folder(into: str) -> None:
    if into.startswith("there/"):
        Path("there").mkdir()
    out = said("my_svc", "--into", into, "--minimal")
    assert sorted({*WHOLE} - ONLY_WHOLE) == files(Path(into))
    assert (f"  cd {into}\n" in out) == (into != ".")


def test_a_fresh_repository_is_an_empty_folder() -> None:
    subprocess.run(["git", "init", "--quiet", "my-svc"], check=True)
    said("my-svc")
    assert WHOLE == [path for path in files(Path("my-svc")) if not path.startswith(".git/")]


def test_a_name_with_spaces_can_be_copied_from_the_next_commands() -> None:
    assert "  cd 'my folder'\n" in said("my-svc", "--into", "my folder")


@pytest.mark.parametrize("options", [[], ["--minimal"]], ids=["whole", "minimal"])
def test_from_a_clone_pip_is_told_first_where_to_find_it(
    options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "clone", lambda: Path("/the clone"))
    assert (
        "  cd my-svc\n"
        "  pip wheel --no-deps --wheel-dir '/the clone/dist' '/the clone'\n"
        "  export PIP_FIND_LINKS=file:///the%20clone/dist\n"
        "  "
    ) in said("my-svc", *options)


@pytest.mark.parametrize(
    ("told", "folder"),
    [
        ('{"url": "file:///the%20clone", "dir_info": {}}', Path("/the clone")),
        ('{"url": "file:///clone", "dir_info": {"editable": true}}', Path("/clone")),
        ('{"url": "file:///hsu_worker-0.1.0-py3-none-any.whl", "archive_info": {}}', None),
        (None, None),
    ],
)
def test_a_clone_is_known_by_what_pip_noted(
    told: str | None, folder: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            assert "direct_url.json" == name
            return told

    def distribution(name: str) -> Installed:
        assert "hsu-worker" == name
        return Installed()

    monkeypatch.undo()
    monkeypatch.setattr(versions, "distribution", distribution)
    assert folder == versions.clone()
