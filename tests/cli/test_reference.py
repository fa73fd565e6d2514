"""docs/commands.md ends with what the commands say of themselves."""

from pathlib import Path

from hsu_worker.cli._reference import commands_reference
from tests.cli.inside import run

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
WRITE = "python -c \"from hsu_worker.cli._reference import commands_reference as c; print(c(), end='')\""


def test_the_page_ends_with_the_commands_as_they_are() -> None:
    assert PAGE.read_text().endswith(commands_reference()), f"put there what this prints: {WRITE}"


def test_examples_in_the_help_keep_their_lines() -> None:
    lines = run("swap", "--help").stdout.splitlines()
    assert "    hsu-worker swap index -- ./bin/hsu_b --cache 64" in lines


def test_each_option_is_in_the_reference_with_its_variable() -> None:
    reference = commands_reference()
    assert "| `--json` | `HSU_LIST_JSON` | Print JSON. |" in reference
    assert "| `--protoc COMMAND` | `HSU_GEN_PROTOC` |" in reference
    assert "| `--master WHERE` | `HSU_MASTER` |" in reference
    assert "HSU_MASTER_RUN_LISTEN" in reference
    assert "unix:&lt;absolute path> or tcp:" in reference
