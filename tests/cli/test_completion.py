"""What a shell needs to complete, and what it is then offered."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsu_worker.codegen.sources import shipped_folder
from tests.cli.answering import Answering, answering
from tests.cli.inside import run


@pytest.fixture(scope="module")
def there() -> Iterator[Answering]:
    with answering() as it:
        yield it


def offered(monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    """What bash is offered at the end of a line."""
    monkeypatch.setenv("_HSU_WORKER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    done = run()
    assert (0, "") == (done.exit_code, done.stderr)
    return [each.partition(",")[2] for each in done.stdout.splitlines() if each]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_ends_with_where_it_belongs(shell: str) -> None:
    done = run("completion", shell)
    assert (0, "") == (done.exit_code, done.stderr)
    assert f"_HSU_WORKER_COMPLETE={shell}_complete" in done.stdout
    *_, where, line = done.stdout.splitlines()
    assert where.startswith("# To have it always, put into ~/.")
    assert f"hsu-worker completion {shell}" in line


def test_bash_takes_its_script() -> None:
    script = run("completion", "bash").stdout
    done = subprocess.run(
        ["bash", "-c", f"{script}\ncomplete -p hsu-worker"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("complete ")
    assert "" == done.stderr


def test_another_shell_is_a_usage_error() -> None:
    assert "tcsh" in run("completion", "tcsh").error(2)


def test_commands_and_options_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ["describe", "doctor"] == offered(monkeypatch, "hsu-worker d")
    assert ["--timeout", "--time"] == offered(monkeypatch, "hsu-worker call --ti")


@pytest.mark.parametrize(
    "line",
    [
        *(f"hsu-worker {command} " for command in ("start", "stop", "restart", "swap", "logs", "why")),
        "hsu-worker call --unit u",
    ],
)  # fmt: skip
def test_units_of_the_running_master_are_offered(
    there: Answering, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    assert ["u"] == offered(monkeypatch, line)


def test_units_of_the_master_that_is_named_are_offered(
    there: Answering, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = str(Path(there.master.removeprefix("unix:")).parent)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert [] == offered(monkeypatch, "hsu-worker start ")
    assert ["u"] == offered(monkeypatch, f"hsu-worker start --master {folder} ")
    monkeypatch.setenv("HSU_MASTER", there.master)
    assert ["u"] == offered(monkeypatch, "hsu-worker start ")


def test_nothing_is_said_when_nothing_is_known(
    there: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = there.folder / "hsu.toml"
    text = toml.read_text()
    toml.write_text("no toml")
    assert [] == offered(monkeypatch, "hsu-worker start ")
    toml.write_text(text)
    monkeypatch.setenv("HSU_MASTER", "tcp:nowhere:1")
    assert [] == offered(monkeypatch, "hsu-worker start ")


def test_the_folder_of_our_protos_is_printed() -> None:
    folder = run("proto-path").stdout.removesuffix("\n")
    assert str(shipped_folder()) == folder
    assert "hsu_core.proto" in os.listdir(folder)
