"""The user's project asks for the protobuf that the generated code needs."""

import tomllib
from pathlib import Path

import pytest

from hsu_worker.codegen.floor import declaration, floor_of

PROJECT = Path(__file__).parent.parent.parent

NEEDS = "the generated code needs protobuf>=7.35.1"


def project(folder: Path, dependencies: str) -> Path:
    file = folder / "pyproject.toml"
    file.write_text(f'[project]\nname = "mine"\ndependencies = {dependencies}\n')
    return file


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('["protobuf"]', '["protobuf>=7.35.1"]'),
        ('["protobuf>=6.31.1"]', '["protobuf>=7.35.1"]'),
        ('["protobuf >= 6.31.1, <8"]', '["protobuf >= 7.35.1, <8"]'),
        ('["protobuf<8"]', '["protobuf>=7.35.1,<8"]'),
        ("['a', 'protobuf>=6', 'b']", "['a', 'protobuf>=7.35.1', 'b']"),
        (
            "[\"protobuf>=6; python_version > '3'\"]",
            "[\"protobuf>=7.35.1; python_version > '3'\"]",
        ),
        ('["hsu-worker>=0.1"]', '["hsu-worker>=0.1", "protobuf>=7.35.1"]'),
        (
            '[\n    "hsu_worker[gen]",  # workers\n    "z",\n]',
            '[\n    "hsu_worker[gen]",\n    "protobuf>=7.35.1",  # workers\n    "z",\n]',
        ),
    ],
)
def test_the_one_line_is_changed(tmp_path: Path, before: str, after: str) -> None:
    file = project(tmp_path, before)
    found = declaration("7.35.1", tmp_path / "src" / "mine" / "gen")
    assert found.file == file
    assert found.text == f'[project]\nname = "mine"\ndependencies = {after}\n'
    [declared] = [
        line for line in tomllib.loads(found.text)["project"]["dependencies"] if "protobuf" in line
    ]
    assert found.change == f"it declares {declared!r} now"


@pytest.mark.parametrize(
    ("dependencies", "problem"),
    [
        ('["protobuf==6.31.1"]', "declares 'protobuf==6.31.1'"),
        ('["protobuf~=6.31"]', "declares 'protobuf~=6.31'"),
        ('["protobuf>=5,<7"]', "declares 'protobuf>=5,<7'"),
        ('["protobuf>=5,<7.35.1"]', "declares 'protobuf>=5,<7.35.1'"),
        ('["click"]', "doesn't declare it"),
        ('["proto\\u0062uf>=6"]', "declares 'protobuf>=6'"),
    ],
    ids=["pinned", "compatible", "excluded", "excluded exactly", "not declared", "escaped"],
)
def test_what_cannot_be_changed_safely_is_told(
    tmp_path: Path, dependencies: str, problem: str
) -> None:
    file = project(tmp_path, dependencies)
    found = declaration("7.35.1", tmp_path / "gen")
    assert found.problem == f"{NEEDS}, and {file} {problem}"
    assert found.file is None


@pytest.mark.parametrize("dependencies", ['["protobuf>=7.35.1"]', '["protobuf>=8"]'])
def test_a_floor_that_is_high_enough_stays(tmp_path: Path, dependencies: str) -> None:
    project(tmp_path, dependencies)
    assert declaration("7.35.1", tmp_path / "gen").problem == ""


def test_the_floor_of_hsu_worker_itself_needs_no_second_line(tmp_path: Path) -> None:
    project(tmp_path, '["hsu-worker"]')
    assert declaration("6.31.1", tmp_path / "gen").problem == ""


def test_only_the_place_that_counts_is_changed(tmp_path: Path) -> None:
    file = project(tmp_path, '["protobuf>=6"]')
    rest = '\n[tool.other]\nneeds = ["protobuf>=6"]\n'
    file.write_text(f'# "protobuf>=6"\n{file.read_text()}{rest}')
    found = declaration("7.35.1", tmp_path / "gen")
    assert found.text == file.read_text().replace(
        'dependencies = ["protobuf>=6"]', 'dependencies = ["protobuf>=7.35.1"]'
    )


@pytest.mark.parametrize("text", ["[tool.x]\n", "[project]\nname = 3\n", "not toml", "\xff"])
def test_a_pyproject_without_dependencies_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_bytes(text.encode("latin-1"))
    found = declaration("7.35.1", tmp_path / "gen")
    assert found.problem == f"{NEEDS}; declare it where {file} says what the project needs"
    assert found.file is None


def test_without_a_pyproject_the_floor_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    cure = "declare it where your project says what it needs"
    assert declaration("7.35.1", tmp_path / "gen").problem == f"{NEEDS}; {cure}"


def test_the_highest_of_several_floors_counts() -> None:
    headers = [f"# Protobuf Python Version: {version}\n" for version in ("6.9.0", "6.31.1")]
    assert floor_of([*headers, "no version\n"]) == "6.31.1"


def test_our_declared_floor_is_that_of_our_generated_messages() -> None:
    messages = sorted((PROJECT / "hsu_worker" / "gen").glob("*_pb2.py"))
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    [declared] = [line for line in project["dependencies"] if line.startswith("protobuf")]
    assert len(messages) == 4
    assert declared == f"protobuf>={floor_of(file.read_text() for file in messages)},<8"
