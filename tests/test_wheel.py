"""The built wheel works in an environment of its own, far from the checkout."""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from importlib.metadata import distributions, version
from itertools import takewhile
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.test_repo import tracked

ROOT = Path(__file__).parent.parent

#: Builds and installs over the network, when pip's cache is empty.
pytestmark = pytest.mark.timeout(600)

PROTO = """\
syntax = "proto3";
package shout.v1;

import "hsu_core.proto";

// Says it louder.
service Shouter {
  // One at a time.
  rpc Shout(ShoutRequest) returns (ShoutResponse);
}

message ShoutRequest {
  string text = 1;
}

message ShoutResponse {
  string text = 1;
  // A type of the contract that the wheel ships.
  hsu.core.v1.LogLevel level = 2;
}
"""

SERVICE = """\
from gen.shout import Shouter, ShoutRequest, ShoutResponse
from hsu_worker import InvalidArgument, implements


@implements(Shouter)
class Loud:
    async def shout(self, request: ShoutRequest) -> ShoutResponse:
        if not request.text:
            raise InvalidArgument("text is empty")
        return ShoutResponse(text=request.text.upper(), level=30)
"""

CALL = """\
import asyncio

from gen.shout import Shouter, ShoutRequest
from hsu_worker import InvalidArgument
from hsu_worker.testing import running
from loud import Loud


async def main() -> None:
    async with running(Loud()) as worker:
        shouter = worker.client(Shouter)
        reply = await shouter.shout(ShoutRequest(text="hello"), timeout=30)
        print(reply.text, reply.level)
        try:
            await shouter.shout(ShoutRequest(), timeout=30)
        except InvalidArgument as error:
            print(error)


asyncio.run(main())
"""

WHERE = """\
import json, os, sys
import hsu_worker
print(json.dumps([os.path.realpath(path) for path in (hsu_worker.__file__, *sys.path)]))
"""

#: pyright's settings, for whoever wants to know all.
STRICT = {"typeCheckingMode": "strict", "pythonVersion": "3.11"}

#: Runs one of the new environment's programs, and returns what it prints.
Run: TypeAlias = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution: so that one is complete, too."""
    folder = tmp_path_factory.mktemp("dist")
    output(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An environment with the wheel, its extra `gen`, what tests need, and nothing else of ours."""
    folder = tmp_path_factory.mktemp("elsewhere")
    programs = folder / "environment" / "bin"
    output(sys.executable, "-m", "venv", folder / "environment", cwd=folder)
    constraints = constrained(folder)
    pip = (programs / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    wanted = (f"{wheel}[gen]", "pytest", "types-protobuf")
    output(*pip, "--constraint", constraints, *wanted, cwd=folder)

    def run(program: str, *arguments: str | Path, cwd: str = "") -> str:
        return output(programs / program, *arguments, cwd=folder / cwd)

    return run


def constrained(folder: Path) -> Path:
    """The versions that these tests run on, so that pip finds most of them in its cache."""
    constraints = folder / "constraints.txt"
    constraints.write_text(
        "".join(
            f"{found.name}=={found.version}\n"
            for found in distributions()
            if found.name not in ("hsu-worker", "pip", "setuptools")
        )
    )
    return constraints


def output(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
    )
    assert ran.returncode == 0, f"{command}\n{ran.stdout}"
    return ran.stdout


def test_the_wheel_holds_contracts_templates_types_and_licence_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for folder in ("proto", "templates"):
        files = {path.relative_to(ROOT) for path in tracked() if path.is_relative_to(ROOT / folder)}
        beginning = f"hsu_worker/{folder}/"
        assert {f"hsu_worker/{path}" for path in files} == {
            name for name in names if name.startswith(beginning)
        }
    licence = f"hsu_worker-{version('hsu-worker')}.dist-info/licenses/LICENSE"
    assert {"hsu_worker/py.typed", licence} <= set(names)
    assert {"hsu_worker", licence.split("/")[0]} == {name.split("/")[0] for name in names}


def test_the_source_distribution_holds_every_file(wheel: Path) -> None:
    [archive] = wheel.parent.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        held = {name.partition("/")[2] for name in opened.getnames()}
    listed = output("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    assert {"PKG-INFO", *listed.splitlines()} == held


def test_the_wheel_works_without_the_checkout(run: Run) -> None:
    paths = [Path(path) for path in json.loads(run("python", "-c", WHERE))]
    assert [] == [path for path in paths if path.is_relative_to(ROOT)]
    assert f"hsu-worker, version {version('hsu-worker')}\n" == run("hsu-worker", "--version")

    folder = Path(run("python", "-c", "import os; print(os.getcwd())").strip())
    (folder / "shout.proto").write_text(PROTO)
    (folder / "loud.py").write_text(SERVICE)
    (folder / "call.py").write_text(CALL)
    run("hsu-worker", "gen", "shout.proto", "--out", "gen")
    assert "HELLO 30\nINVALID_ARGUMENT: text is empty\n" == run("python", "-W", "error", "call.py")


def test_the_readme_works_without_the_checkout(run: Run) -> None:
    run("python", "-W", "error", ROOT / "tests" / "page.py", ROOT / "README.md")


def test_a_new_project_passes_its_tests(run: Run) -> None:
    run("hsu-worker", "new", "my-svc", "--interface", "WordList", "--interface", "Spelling")
    assert "8 passed in " in run("python", "-m", "pytest", "-q", cwd="my-svc")
    run("hsu-worker", "new", "small", "--minimal")
    assert "4 passed in " in run("python", "-m", "pytest", "-q", cwd="small")


def test_what_new_prints_in_a_clone_works_as_it_is_printed(wheel: Path, tmp_path: Path) -> None:
    [archive] = wheel.parent.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    [clone] = tmp_path.glob("hsu_worker-*")
    programs = Path(sys.executable).parent
    said = output(programs / "hsu-worker", "new", "my-svc", "--minimal", cwd=tmp_path)
    steps = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    assert f"pip wheel --no-deps --wheel-dir {ROOT}/dist {ROOT}" in steps
    # The last one goes on for ever.
    script = "\n".join(["set -e", *steps[:-1], f"exec {steps[-1]}"]).replace(str(ROOT), str(clone))

    with (
        tempfile.TemporaryDirectory(prefix="hsu-t-") as runtime,
        (tmp_path / "printed").open("w+") as printed,
        subprocess.Popen(
            ["sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=printed,
            text=True,
            cwd=tmp_path,
            env={
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                "HOME": os.environ["HOME"],
                "PIP_CONSTRAINT": str(constrained(tmp_path)),
                "XDG_RUNTIME_DIR": runtime,
            },
        ) as process,
    ):
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        told = "".join(takewhile(lambda line: not line.startswith("my-svc at unix:"), lines))
        is_there = process.poll() is None
        process.terminate()

    assert is_there, told + (tmp_path / "printed").read_text()
    assert "4 passed in " in told
    assert 0 == process.returncode


def test_the_linters_find_nothing_in_a_new_project(run: Run) -> None:
    run("hsu-worker", "new", "linted", "--interface", "WordList")
    run("hsu-worker", "new-interface", "Spelling", cwd="linted")
    python, folder = run(
        "python", "-c", "import os, sys; print(sys.executable, os.getcwd())", cwd="linted"
    ).split()
    project = Path(folder)
    (project / "pyrightconfig.json").write_text(json.dumps(STRICT))
    for linter, *arguments in (
        ("mypy", "--python-executable", python),
        ("pyright", "--pythonpath", python),
        ("ruff", "check"),
        ("ruff", "format", "--check"),
        ("buf", "lint"),
        ("buf", "format", "--exit-code"),
    ):
        output(Path(sys.executable).with_name(linter), *arguments, cwd=project)
