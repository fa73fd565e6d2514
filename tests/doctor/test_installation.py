"""What the doctor says of the interpreter, the packages and the bytecode beside it."""

import importlib.metadata
import importlib.util
import os
import py_compile
import re
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from hsu_worker.doctor import installation
from hsu_worker.doctor.bytecode import bytecode, bytecode_of
from hsu_worker.doctor.finding import Finding, Verdict, ok, problem, warning

HERE = Path()


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GRPC_ENABLE_FORK_SUPPORT", "GRPC_TRACE", "GRPC_VERBOSITY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("system", "verdict"),
    [("linux", Verdict.OK), ("darwin", Verdict.WARNING), ("win32", Verdict.PROBLEM)],
)
def test_the_system_is_one_that_workers_run_on(
    monkeypatch: pytest.MonkeyPatch, system: str, verdict: Verdict
) -> None:
    known = SimpleNamespace(platform=system, executable=sys.executable)
    monkeypatch.setattr(installation, "sys", known)
    [found] = installation.python(HERE)
    assert verdict is found.verdict
    assert sys.executable in found.cause
    assert bool(found.cure) is (verdict is not Verdict.OK)


def versions(**installed: str) -> Callable[[str], str]:
    """`importlib.metadata.version`, of an environment in which some versions are others."""

    def version(name: str) -> str:
        given = installed.get(name.replace("-", "_"))
        if given == "":
            raise PackageNotFoundError(name)
        return given or importlib.metadata.version(name)

    return version


def test_this_environment_has_what_hsu_worker_needs() -> None:
    own = importlib.metadata.version("hsu-worker")
    assert [ok("requirements", f"hsu-worker {own} has all that it needs")] == list(
        installation.requirements(HERE)
    )


def test_requirements_that_are_not_met_are_all_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "version", versions(grpcio="1.60.0", click=""))
    assert [
        problem(
            "requirements",
            "hsu-worker needs click>=8.1.7, and it is not installed",
            "pip install 'click>=8.1.7'",
        ),
        problem(
            "requirements",
            "hsu-worker needs grpcio<2,>=1.76, and 1.60.0 is installed",
            "pip install 'grpcio<2,>=1.76'",
        ),
    ] == list(installation.requirements(HERE))


def test_a_folder_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installation, "requires", requires)
    [found] = installation.requirements(HERE)
    assert Verdict.PROBLEM is found.verdict
    assert found.cause.startswith("hsu-worker is not installed: it runs from a folder")


def test_a_package_that_gets_in_the_way_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [ok("packages", "no package is installed that gets in the way")] == list(
        installation.packages(HERE)
    )
    monkeypatch.setattr(installation, "version", versions(grpcio_observability="1.76.0"))
    assert [
        warning(
            "packages",
            "grpcio-observability is installed: when it is turned on, it stops an asyncio server "
            "after some hundred calls",
            "pip uninstall grpcio-observability",
        )
    ] == list(installation.packages(HERE))


def test_variables_that_change_grpc_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = [ok("grpc-variables", "no variable changes how grpc behaves")]
    assert nothing == list(installation.grpc_variables(HERE))
    for name, value in (
        ("GRPC_ENABLE_FORK_SUPPORT", "false"),
        ("GRPC_VERBOSITY", "ERROR"),
        ("GRPC_TRACE", ""),
    ):
        monkeypatch.setenv(name, value)
    assert nothing == list(installation.grpc_variables(HERE))
    for name in ("GRPC_ENABLE_FORK_SUPPORT", "GRPC_VERBOSITY", "GRPC_TRACE"):
        monkeypatch.setenv(name, "all")
    assert [
        "unset GRPC_ENABLE_FORK_SUPPORT",
        "unset GRPC_TRACE",
        "unset GRPC_VERBOSITY",
    ] == [found.cure for found in installation.grpc_variables(HERE)]


@pytest.fixture
def module(tmp_path: Path) -> ModuleType:
    """The only module of a worker; it has bytecode."""
    file = tmp_path / "box" / "inner.py"
    file.parent.mkdir()
    (file.parent / "__init__.py").touch()
    file.write_text("x = 1\n")
    py_compile.compile(str(file), doraise=True)
    spec = importlib.util.spec_from_file_location("box.inner", file)
    assert spec is not None
    return importlib.util.module_from_spec(spec)


def files(module: ModuleType) -> tuple[Path, Path]:
    """Its source and its bytecode."""
    spec = module.__spec__
    assert spec is not None
    assert spec.origin is not None
    assert spec.cached is not None
    return Path(spec.origin), Path(spec.cached)


def looked(module: ModuleType) -> Finding:
    """What is found when the module is all that is loaded, beside what has no file."""
    return bytecode_of({"box.inner": module, "sys": sys, "__main__": module})


def test_modules_with_bytecode_are_counted(module: ModuleType) -> None:
    assert ok("bytecode", "all 1 modules of a worker have bytecode") == looked(module)


def test_the_modules_of_a_worker_are_looked_at() -> None:
    [found] = bytecode(HERE)
    assert re.search(r"\b\d{3,} modules of a worker", found.cause)


@pytest.mark.parametrize("spoilt", ["missing", "older", "another size", "cut"])
def test_bytecode_that_is_no_use_is_told(
    module: ModuleType, spoilt: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source, cached = files(module)
    match spoilt:
        case "missing":
            cached.unlink()
        case "older":
            os.utime(source, (1, 1))
        case "another size":
            facts = source.stat()
            source.write_text("x = 1  # more\n")
            os.utime(source, (facts.st_atime, facts.st_mtime))
        case _:
            cached.write_bytes(b"")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert warning(
        "bytecode",
        "1 of 1 modules of a worker have no current bytecode, and PYTHONDONTWRITEBYTECODE is "
        "set: each start compiles them anew, and may take several times as long",
        "run where it can be written, such as in the image's build: "
        f"{sys.executable} -m compileall -q {tmp_path}/box",
    ) == looked(module)


def test_bytecode_that_is_checked_by_hash_is_enough(module: ModuleType) -> None:
    source, _ = files(module)
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(source), invalidation_mode=unchecked)
    os.utime(source, (1, 1))
    assert Verdict.OK is looked(module).verdict
