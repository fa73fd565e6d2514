"""The command: lazy, plain in its errors, exact in its exit codes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest

import hsu_worker.cli
from hsu_worker.cli import main
from hsu_worker.errors import AddressError, HsuError, StartError
from tests.cli.inside import run

PROTO = 'syntax = "proto3";\n\npackage cli;\n\nmessage Thing {}\n'


@pytest.fixture
def proto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "proto").mkdir()
    (tmp_path / "proto" / "thing.proto").write_text(PROTO)
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["protobuf>=5"]\n')
    return "proto/thing.proto"


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"hsu-worker, version {version('hsu-worker')}\n"


def every_command(group: click.Group, *words: str) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*words, name)
        if isinstance(command, click.Group):
            yield from every_command(command, *words, name)


@pytest.mark.parametrize("words", [(), *every_command(main)], ids=" ".join)
def test_the_help_of_every_command_is_for_people(words: tuple[str, ...]) -> None:
    said = run(*words, "--help")
    assert (0, "") == (said.exit_code, said.stderr)
    assert not set(said.stdout) & {"\\", "\b"}
    # Examples keep their lines.
    examples = [line for line in said.stdout.splitlines() if line.count("hsu-worker ") > 1]
    assert [] == examples


def test_help_lists_every_command_and_loads_no_grpc() -> None:
    code = """
import sys
sys.argv = ["hsu-worker", "--help"]
try:
    from hsu_worker.__main__ import main
except SystemExit:
    print("grpc" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    files = Path(hsu_worker.cli.__file__).parent.glob("[!_]*.py")
    listed = [line.split()[0] for line in done.stdout.partition("Commands:\n")[2].splitlines()]
    assert listed[:-1] == sorted(file.stem.replace("_", "-") for file in files)
    assert listed[-1] == "False"


def test_an_unknown_command_is_a_usage_error() -> None:
    result = run("no-such-command")
    assert result.exit_code == 2
    assert "No such command 'no-such-command'." in result.stderr


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (HsuError("something went wrong"), 1),
        (AddressError("that is no address"), 3),
        (StartError("the unit did not start"), 3),
    ],
)
def test_an_error_of_ours_is_told_without_a_traceback(
    error: HsuError, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command
    def failing() -> None:
        raise error

    monkeypatch.setattr(type(main), "get_command", lambda *_: failing)
    result = run("gen")
    assert result.exit_code == exit_code
    assert result.stderr == f"Error: {error.args[0]}\n"


@pytest.mark.parametrize(
    ("word", "hint"),
    [("serv", " Did you mean 'serve'?"), ("lst", " Did you mean 'list'?"), ("q", "")],
)
def test_a_command_that_is_not_there_is_told_with_the_nearest_one(word: str, hint: str) -> None:
    result = run(word)
    assert 2 == result.exit_code
    assert result.stderr.endswith(f"Error: No such command '{word}'.{hint}\n")


def test_gen_tells_what_it_wrote_and_raises_the_floor(proto: str) -> None:
    first = run("gen", proto, "--out", "src/mine/gen")
    assert first.exit_code == 0, first.stderr
    *lines, floor = first.stdout.splitlines()
    assert lines == [
        "wrote src/mine/gen/__init__.py",
        "wrote src/mine/gen/thing.py",
        "wrote src/mine/gen/thing_pb2.py",
        "wrote src/mine/gen/thing_pb2.pyi",
        "4 written, 0 unchanged",
    ]
    needed = floor.partition(", and ")[0].removeprefix("the generated code needs ")
    assert floor == (
        f"the generated code needs {needed}, and pyproject.toml declares 'protobuf>=5'; "
        f"it declares {needed!r} now"
    )
    assert Path("pyproject.toml").read_text() == f'[project]\ndependencies = ["{needed}"]\n'
    second = run("gen", proto, "--out", "src/mine/gen")
    assert second.stdout == "0 written, 3 unchanged\n"


def test_gen_check_writes_nothing_and_fails(proto: str) -> None:
    result = run("gen", proto, "--out", "gen", "--check")
    assert result.exit_code == 1
    *missing, floor, cure = result.stderr.splitlines()
    assert missing == [
        "Error: gen/__init__.py: is missing",
        "gen/thing.py: is missing",
        "gen/thing_pb2.py: is missing",
        "gen/thing_pb2.pyi: is missing",
    ]
    assert floor.endswith(", and pyproject.toml declares 'protobuf>=5'")
    assert cure == "run `hsu-worker gen` without --check"
    assert not Path("gen").exists()
    assert run("gen", proto, "--out", "gen").exit_code == 0
    assert run("gen", proto, "--out", "gen", "--check").exit_code == 0


def test_gen_lists_its_files_as_json(proto: str) -> None:
    result = run("gen", proto, "--out", "gen", "--json")
    assert json.loads(result.stdout) == {
        "gen/__init__.py": "missing",
        "gen/thing.py": "missing",
        "gen/thing_pb2.py": "missing",
        "gen/thing_pb2.pyi": "missing",
    }


def test_gen_reads_its_options_from_the_environment(
    proto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HSU_GEN_PROTOC", "no-such-protoc")
    result = run("gen", proto, "--out", "gen")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: can't run no-such-protoc: ")


def test_gen_passes_warnings_on(proto: str) -> None:
    Path("proto/user.proto").write_text('syntax = "proto3";\nimport "thing.proto";\n')
    result = run("gen", "proto/user.proto", "--out", "gen")
    assert result.exit_code == 0
    assert result.stderr == "proto/user.proto:2:1: warning: Import thing.proto is unused.\n"


def test_gen_of_a_file_that_is_not_there_is_a_usage_error(proto: str) -> None:
    result = run("gen", "proto/other.proto", "--out", "gen")
    assert result.exit_code == 2
    assert "File 'proto/other.proto' does not exist." in result.stderr
