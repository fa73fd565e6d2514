"""What `hsu-worker serve` makes of its options, and of the environment."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import click
import pytest
from click.testing import CliRunner, Result

from hsu_worker.cli import main
from hsu_worker.cli.serve import command
from hsu_worker.wire.address import Address
from hsu_worker.worker import reloader, shutdown
from hsu_worker.worker import serve as serving
from hsu_worker.worker.options import KnownMaster, Membership, Serving

Tell: TypeAlias = Callable[..., Serving]


def address(*texts: str) -> tuple[Address, ...]:
    return tuple(Address.parse(text) for text in texts)


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tell:
    """Runs the command with some arguments and variables; returns what is to be served."""
    told: list[Serving] = []

    def serve(options: Serving, *_: object) -> int:
        told.append(options)
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.setattr(serving, "run_serving", serve)
    monkeypatch.setattr(reloader, "run_reloading", serve)
    monkeypatch.setattr(shutdown, "end_process", sys.exit)

    def tell(*arguments: str, **variables: str) -> Serving:
        told.clear()
        result = invoke(*arguments, **variables)
        assert 0 == result.exit_code, result.output
        [options] = told
        return options

    return tell


def invoke(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(main, ["serve", *arguments], env=variables, prog_name="hsu-worker")


def refused(*arguments: str, **variables: str) -> str:
    """What is said to whoever used it wrongly."""
    result = invoke(*arguments, **variables)
    assert 2 == result.exit_code, result.output
    return result.output.rpartition("Error: ")[2].strip()


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        ([], {}, []),
        (["--listen", "unix:/a", "--listen", "tcp:[::1]:0"], {}, ["unix:/a", "tcp:[::1]:0"]),
        (["--port", "5000"], {}, ["tcp:127.0.0.1:5000"]),
        (["--port", "0"], {}, ["tcp:127.0.0.1:0"]),
        (["--port", "5000", "--insecure-remote"], {}, ["tcp:0.0.0.0:5000"]),
        (["--port", "5000", "--listen", "unix:/a"], {}, ["unix:/a", "tcp:127.0.0.1:5000"]),
        # What a platform says counts when nobody else has said anything.
        ([], {"PORT": "8080"}, ["tcp:127.0.0.1:8080"]),
        (["--insecure-remote"], {"PORT": "8080"}, ["tcp:0.0.0.0:8080"]),
        ([], {"PORT": ""}, []),
        (["--port", "5000"], {"PORT": "8080"}, ["tcp:127.0.0.1:5000"]),
        (["--listen", "unix:/a"], {"PORT": "8080"}, ["unix:/a"]),
        ([], {"PORT": "8080", "HSU_SERVE_LISTEN": "unix:/a unix:/b"}, ["unix:/a", "unix:/b"]),
        ([], {"PORT": "8080", "HSU_SERVE_PORT": "5000"}, ["tcp:127.0.0.1:5000"]),
        # A master's variables are no options.
        ([], {"HSU_LISTEN": "unix:/a"}, []),
    ],
)
def test_where_it_listens(
    tell: Tell, arguments: list[str], variables: dict[str, str], expected: list[str]
) -> None:
    assert address(*expected) == tell("mysvc", *arguments, **variables).listen


def test_the_rest_of_what_is_told(tell: Tell, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "src").mkdir()
    assert Serving(app="mysvc", app_dir=str(tmp_path)) == tell("mysvc")
    assert Serving(
        app="mysvc:make",
        app_dir=str(tmp_path / "src"),
        factory=True,
        token="secret",
        token_file="token",
        membership=Membership(master=KnownMaster(address=Address(path="/m")), unit="u"),
        capture=False,
        log_level="DEBUG",
        log_format="json",
    ) == tell(
        *("mysvc:make", "--app-dir", "src", "--factory", "--token-file", "token"),
        *("--register", "unix:/m", "--unit", "u", "--no-capture"),
        *("--log-level", "debug", "--log-format", "json"),
    )


def test_a_unit_of_the_master_that_is_named_or_in_the_environment(
    tell: Tell, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("the-masters")
    (tmp_path / "token").chmod(0o600)
    master = KnownMaster(
        address=Address(path="/m"), token="the-masters", token_file=str(tmp_path / "token")
    )
    stand_in = Membership(master=master, unit="u", stand_in=True)
    arguments = ("mysvc", "--as", "u", "--master-token-file", "token")
    assert stand_in == tell(*arguments, "--master", "unix:/m").membership
    assert stand_in == tell(*arguments, HSU_MASTER="unix:/m").membership
    assert stand_in == tell(*arguments, HSU_MASTER="x", HSU_SERVE_MASTER="unix:/m").membership


def test_each_option_is_a_variable_too(tell: Tell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("secret")
    (tmp_path / "file").chmod(0o600)
    values = {
        "app": "mysvc:app",
        "--listen": "unix:/a",
        "--port": "5000",
        "--insecure-remote": "1",
        "--token-file": "file",
        "--app-dir": "..",
        "--factory": "true",
        "--reload": "yes",
        "--reload-dir": f".{os.pathsep}..",
        "--reload-include": "*.txt *.toml",
        "--log-level": "error",
        "--log-format": "json",
        "--no-capture": "on",
        "--as": "u",
        "--master": "unix:/m",
        "--master-token-file": "file",
        # These exclude --as.
        "--register": "",
        "--unit": "",
        # Refused unless a host has launched this process.
        "--plugin-version": "",
    }
    assert set(values) == {each.opts[0] for each in command.params}
    variables = {
        f"HSU_SERVE_{name.lstrip('-').replace('-', '_').upper()}": value
        for name, value in values.items()
    }
    told = tell(**variables)
    master = KnownMaster(
        address=Address(path="/m"), token="secret", token_file=str(tmp_path / "file")
    )
    assert (
        Serving(
            app="mysvc:app",
            app_dir=str(tmp_path.parent),
            factory=True,
            listen=address("unix:/a", "tcp:0.0.0.0:5000"),
            token="secret",
            token_file="file",
            membership=Membership(master=master, unit="u", stand_in=True),
            master=master,
            capture=False,
            log_level="ERROR",
            log_format="json",
        )
        == told
    )
    # It crosses a pipe whole.
    assert told == Serving.from_json(told.to_json())


@pytest.mark.parametrize(
    ("arguments", "variables", "text"),
    [
        (
            [],
            {"PORT": "eighty"},
            "PORT='eighty' in the environment is not a port; correct it, or give --listen or --port",
        ),
        (
            [],
            {"PORT": "70000"},
            "PORT='70000' in the environment is not a port; correct it, or give --listen or --port",
        ),
        (["--port", "70000"], {}, "Invalid value for '--port': 70000 is not in the range"),
        (["--port", "x"], {}, "Invalid value for '--port': 'x' is not a valid integer range."),
        (
            ["--port", "7", "--listen", "tcp:127.0.0.1:7"],
            {},
            "address tcp:127.0.0.1:7 is given twice",
        ),
        (["--reload-dir", "."], {}, "--reload-dir and --reload-include go with --reload"),
        (["--reload-include", "*"], {}, "--reload-dir and --reload-include go with --reload"),
        (
            ["--master-token-file", __file__],
            {},
            "--master-token-file goes with --as, --register or --master",
        ),
        (["--as", "u", "--register", "unix:/m"], {}, "--register and --unit go together"),
        (
            ["--as", "u", "--register", "unix:/m", "--unit", "v"],
            {},
            "--as and --register exclude each other",
        ),
        (["--log-format", "yaml"], {}, "Invalid value for '--log-format': 'yaml' is not one of"),
        (["--app-dir", "nosuch"], {}, "Invalid value for '--app-dir': Directory 'nosuch' does not"),
    ],
)
def test_a_wrong_use_is_refused(
    tell: Tell, arguments: list[str], variables: dict[str, str], text: str
) -> None:
    assert refused("mysvc", *arguments, **variables).startswith(text)


@pytest.mark.parametrize(
    ("arguments", "folders", "patterns"),
    [
        ([], ["."], ["*.py"]),
        (["--app-dir", "src"], ["src"], ["*.py"]),
        (["--app-dir", "src", "--reload-dir", "."], ["."], ["*.py"]),
        (
            ["--reload-dir", "src", "--reload-dir", ".", "--reload-include", "*.txt"],
            ["src", "."],
            ["*.py", "*.txt"],
        ),
    ],
)
def test_what_is_watched(
    tell: Tell,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    folders: list[str],
    patterns: list[str],
) -> None:
    watched: list[list[str]] = []

    def watch(_: Serving, folders: Sequence[Path], patterns: Sequence[str]) -> int:
        watched.extend(([str(folder) for folder in folders], list(patterns)))
        return 0

    monkeypatch.setattr(reloader, "run_reloading", watch)
    Path("src").mkdir()
    assert 0 == invoke("mysvc", "--reload", *arguments).exit_code
    assert [folders, patterns] == watched


def test_a_remote_address_needs_to_be_wanted(tell: Tell) -> None:
    result = invoke("mysvc", "--listen", "unix:/a", "--listen", "tcp:0.0.0.0:7")
    assert 2 == result.exit_code
    assert "address tcp:0.0.0.0:7: others in the network could read and make calls" in result.output
    everywhere = tell("mysvc", "--insecure-remote", "--listen", "tcp:0.0.0.0:7")
    assert address("tcp:0.0.0.0:7") == everywhere.listen


def test_the_page_tells_every_option() -> None:
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    table = page.partition("| option |")[2].partition("\n\n")[0]
    told = re.findall(r"`(--[\w-]+)", "".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)))
    assert sorted(told) == sorted(
        each.opts[0] for each in command.params if isinstance(each, click.Option)
    )


def test_no_help_shows_what_is_meant_for_click() -> None:
    def check(name: str, shown: click.Command) -> None:
        context = click.Context(shown, info_name=name)
        assert "\\b" not in shown.get_help(context), name
        if isinstance(shown, click.Group):
            for each in shown.list_commands(context):
                below = shown.get_command(context, each)
                assert below is not None
                check(f"{name} {each}", below)

    check("hsu-worker", main)
