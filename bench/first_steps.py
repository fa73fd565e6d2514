"""Times what somebody does first, in an environment of its own: `make first-steps`."""

import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from time import strftime
from typing import IO, TypeAlias

import click

from bench.measure import ROOT, machine

RESULT = ROOT / "bench" / "results" / "first-steps.json"
PAGE = ROOT / "docs" / "first-steps.md"

#: Seconds that one step may take; a network may be slow.
BOUND = 600

#: What was done, what was typed, and the seconds that it took.
Step: TypeAlias = tuple[str, str, float]

MAIN = """\
from hsu_worker.master import BlockingMaster

from mysvc.gen.mysvc import CountRequest, Mysvc

with BlockingMaster.from_file("hsu.toml") as master:
    print(master.client(Mysvc).count(CountRequest(text="one hat"), timeout=60).words)
"""


def installed(folder: Path) -> Iterator[Step]:
    """Build the wheel, and install it into `folder / "environment"`."""
    _run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        folder,
    )
    [wheel] = folder.glob("*.whl")
    programs = folder / "environment" / "bin"
    typed = "python -m venv, pip install 'hsu-worker[gen,reload]' pytest"
    began = time.monotonic()
    _run([sys.executable, "-m", "venv", str(programs.parent)], folder)
    pip = [str(programs / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    _run([*pip, f"{wheel}[gen,reload]", "pytest"], folder)
    yield "install", typed, time.monotonic() - began


def used(programs: Path, folder: Path) -> Iterator[Step]:
    """The first steps in `folder`, with what is installed among `programs`."""
    hsu_worker = str(programs / "hsu-worker")
    began = time.monotonic()
    _run([hsu_worker, "new", "mysvc"], folder)
    yield "make a project", "hsu-worker new mysvc", time.monotonic() - began

    project = folder / "mysvc"
    # What `make install` would make: its dependency is not to be had from an index while it is new.
    environment = folder / "made"
    environment.mkdir()
    for each in programs.parent.iterdir():
        if each.name != ".installed":
            (environment / each.name).symlink_to(each)
    (environment / ".installed").touch()
    began = time.monotonic()
    _run(["make", "test", f"VENV={environment}"], project)
    yield "test it", "make test", time.monotonic() - began

    address = f"unix:{folder}/s"
    serve = [hsu_worker, "serve", "mysvc.worker:app", "--listen", address, "--reload"]
    call = [hsu_worker, "call", address, "mysvc.v1.Mysvc/Count", '{"text": "one hat"}']
    began = time.monotonic()
    with _serving(serve, project):
        yield "serve it", "hsu-worker serve mysvc.worker:app --reload", time.monotonic() - began
        began = time.monotonic()
        answer = _run(call, project)
        assert answer == '{"words": 2}\n', answer
        yield "call it", "hsu-worker call ... mysvc.v1.Mysvc/Count ...", time.monotonic() - began

        service = project / "mysvc" / "service.py"
        text = service.read_text()
        edited = text.replace("words=len(", "words=40 + len(")
        assert edited != text
        began = time.monotonic()
        service.write_text(edited)
        while _run(call, project, may_fail=True) != '{"words": 42}\n':
            assert time.monotonic() - began < BOUND
        yield "edit it", "until a call gets the new answer", time.monotonic() - began

    (project / "main.py").write_text(MAIN)
    began = time.monotonic()
    printed = _run([str(programs / "python"), "main.py"], project)
    assert printed == "42\n", printed
    yield "start it by a master", "python main.py", time.monotonic() - began


def rendered() -> str:
    """The page, with the times that were measured."""
    found = json.loads(RESULT.read_text())
    head, mark, _ = PAGE.read_text().partition("<!-- table -->\n")
    where = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    return f"{head}{mark}\nMeasured on {found['date']}: {where}.\n\n{table(found['steps'])}"


def table(steps: list[Step]) -> str:
    """The steps as a Markdown table."""
    rows = [f"| {what} | `{typed}` | {seconds:.1f} s |" for what, typed, seconds in steps]
    total = sum(seconds for _, _, seconds in steps)
    head = ["| step | what is typed | time |", "| --- | --- | --- |"]
    return "\n".join([*head, *rows, f"| all | | {total:.1f} s |"]) + "\n"


def _run(command: list[str], folder: Path, *, may_fail: bool = False) -> str:
    ran = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=folder,
        env=_environment(),
        timeout=BOUND,
    )
    if ran.returncode and not may_fail:
        sys.exit(f"{' '.join(command)}: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return ran.stdout


@contextmanager
def _serving(command: list[str], folder: Path) -> Iterator[None]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=_environment(),
    )
    assert process.stdout is not None
    try:
        _first_line(process.stdout)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=BOUND)


def _first_line(output: IO[bytes]) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        assert selector.select(BOUND), "it serves nothing"
    assert output.readline().startswith(b"serving "), "it serves nothing"


def _environment() -> dict[str, str]:
    """Without what would let the checkout be found, or tell a make of the make above it."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("ARGS", "PYTHONPATH", "VIRTUAL_ENV")
        and not name.startswith(("MAKE", "HSU_"))
    }


@click.command()
@click.option("--keep", is_flag=True, help="Keep the times, and write them into the docs.")
def main(keep: bool) -> None:
    """Time the first steps of a user, from the wheel on."""
    if shutil.which("make") is None:
        sys.exit("make is needed")
    steps: list[Step] = []
    # A short path: sockets are in it.
    with tempfile.TemporaryDirectory(prefix="hsu-") as name:
        folder = Path(name)
        for step in chain(installed(folder), used(folder / "environment" / "bin", folder)):
            if sys.stderr.isatty():
                print(f"{step[0]}: {step[2]:.1f} s", file=sys.stderr)
            steps.append(step)
    print(table(steps), end="")
    if keep:
        found = {"date": strftime("%Y-%m-%d"), "machine": machine(), "steps": steps}
        RESULT.write_text(json.dumps(found, indent=1) + "\n")
        PAGE.write_text(rendered())


if __name__ == "__main__":
    main()
