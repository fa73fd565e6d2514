"""Runs one Markdown page: `python page.py docs/authoring.md`, in a folder that it may fill.

Blocks are taken in their order:

- a block of any language right after `<!-- file: name -->` is written to that file;
- `python` runs; all blocks of a page share one namespace, and `await` is allowed;
- `console`: lines that start with `$ ` run in bash. A command that ends in ` &` stays in the background
  until the page ends; the next step waits for its first line of output. Lines below a command are
  output that it has to show; `...` stands for anything;
- `toml` and `json` have to parse; other languages are left alone.
"""

import ast
import asyncio
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

#: Commands that set up or test everything, and the test that covers each.
COVERED = {
    "git clone": "whoever runs the tests has a clone",
    "make demo": "tests/examples/test_demo.py",
    "make": "tests/test_repo.py, .ci/run",
    "cargo": "tests/languages/rust/test_docs.py, which needs Rust",
    "go": "tests/languages/go/test_docs.py, which needs Go",
    "npm": "tests/languages/node/test_docs.py, which needs Node",
    "npx": "tests/languages/node/test_docs.py",
    "pip install": "tests/test_wheel.py",
    "python -m pip install": "tests/test_wheel.py",
    "pytest": "tests/test_testing.py",
}

_FENCE = re.compile(
    r"^(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int
    file: str = ""


def blocks(page: str) -> list[Block]:
    return [
        Block(
            language=found["language"],
            text=found["text"],
            line=page.count("\n", 0, found.start("text")) + 1,
            file=found["file"] or "",
        )
        for found in _FENCE.finditer(page)
    ]


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines of output that the page shows."""
    command, shown = "", list[str]()
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line.removeprefix("$ "), []
        elif line.strip():
            shown.append(line)
    if command:
        yield command, shown


def shows(output: str, lines: list[str]) -> bool:
    """The output has these lines, in this order; `...` in a line stands for anything."""
    patterns = [".*".join(re.escape(part.rstrip()) for part in line.split("...")) for line in lines]
    pattern = "(?:.*\n)*?".join(rf"{pattern}\s*\n" for pattern in patterns)
    return re.search(rf"^{pattern}", f"{output}\n", re.MULTILINE) is not None


class Page:
    """One page that is being run; the working folder is the current one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = Path.cwd()
        self.module = ModuleType("__main__")
        self.background: list[subprocess.Popen[str]] = []

    def run(self) -> None:
        sys.modules["__main__"] = self.module
        sys.path[0] = str(self.folder)
        with self._background_ended(), asyncio.Runner() as runner:
            for block in blocks(self.path.read_text()):
                if block.file:
                    target = self.folder / block.file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(block.text)
                elif block.language == "python":
                    self._python(block, runner)
                elif block.language == "console":
                    self._console(block)
                elif block.language == "toml":
                    tomllib.loads(block.text)
                elif block.language == "json":
                    json.loads(block.text)

    def _python(self, block: Block, runner: asyncio.Runner) -> None:
        # The empty lines make tracebacks point into the page.
        code: CodeType = compile(
            "\n" * (block.line - 1) + block.text,
            self.path,
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        )
        if code.co_flags & inspect.CO_COROUTINE:
            runner.run(eval(code, vars(self.module)))
        else:
            exec(code, vars(self.module))

    def _console(self, block: Block) -> None:
        for command, shown in commands(block):
            if any(re.match(rf"{start}(\s|$)", command) for start in COVERED):
                continue
            print(f"{self.path.name}: $ {command}", flush=True)
            if command.startswith("cd "):
                self.folder = (self.folder / command.removeprefix("cd ")).resolve(strict=True)
            elif command.endswith(" &"):
                self._start(command.removesuffix(" &"))
            else:
                ran = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", command],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    cwd=self.folder,
                    check=False,
                )
                print(ran.stdout, flush=True)
                assert ran.returncode == 0, f"exit code {ran.returncode}: {command}"
                assert shows(ran.stdout, shown), "the page shows:\n" + "\n".join(shown)

    def _start(self, command: str) -> None:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        self.background.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        print(line, flush=True)
        assert line, f"ended without a word: {command}"

    @contextmanager
    def _background_ended(self) -> Iterator[None]:
        try:
            yield
        finally:
            for process in reversed(self.background):
                process.send_signal(signal.SIGTERM)
                process.communicate()


if __name__ == "__main__":
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    Page(Path(sys.argv[1]).resolve()).run()
