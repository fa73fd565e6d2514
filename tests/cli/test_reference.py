"""docs/commands.md ends with what the commands say of themselves."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import hsu_worker
from hsu_worker.cli._reference import commands_reference, environment_reference
from hsu_worker.wire.launch import LaunchVariables
from tests.cli.inside import run

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "commands.md"
ENVIRONMENT = DOCS / "environment.md"
WRITE = "python -c \"from hsu_worker.cli._reference import commands_reference as c; print(c(), end='')\""


def test_the_page_ends_with_the_commands_as_they_are() -> None:
    assert PAGE.read_text().endswith(commands_reference()), f"put there what this prints: {WRITE}"


def test_the_page_of_the_environment_ends_with_the_options_as_they_are() -> None:
    printed = WRITE.replace("commands_reference", "environment_reference")
    reference = environment_reference()
    assert ENVIRONMENT.read_text().endswith(f"\n\n{reference}"), (
        f"put there what this prints: {printed}"
    )


def test_every_variable_that_the_source_names_is_on_the_page() -> None:
    text = ENVIRONMENT.read_text()
    launched = {f"HSU_{each.name.upper()}" for each in fields(LaunchVariables)}
    assert launched <= set(re.findall(r"^\| `(\w+)` \| ", text, re.MULTILINE))
    named = {
        node.value
        for file in Path(hsu_worker.__file__).parent.glob("**/*.py")
        # The kit sets some that nobody may read.
        if "conformance" not in file.parts
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"(HSU|PLUGIN|XDG|NOTIFY|WATCHDOG|NO)_[A-Z_]*[A-Z]|PORT", node.value)
    }
    # How a worker stands; no variables.
    named -= {"NOT_RUNNING", "NOT_READY"}
    # What the kit sets because nobody may mind.
    named -= {"HSU_CONTRACT", "HSU_LISTEN_ALSO", "HSU_WORKER"}
    assert "HSU_MASTER_TOKEN_FILE" in named
    assert set() == {each for each in named if f"`{each}`" not in text}


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
