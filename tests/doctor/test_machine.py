"""What the doctor says of the machine: folders, masters, limits."""

import os
import resource
from pathlib import Path
from socket import AF_UNIX, socket

import pytest

from hsu_worker.doctor import limits as limits_of
from hsu_worker.doctor import runtime
from hsu_worker.doctor.finding import Verdict, ok, problem, warning
from hsu_worker.doctor.limits import limits
from hsu_worker.doctor.runtime import masters, sockets
from hsu_worker.master.folder import private_folder
from tests.cli.answering import answering

HERE = Path()
ELSEWHERE = "set runtime_dir in the table [master] of hsu.toml to a folder of your own"


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's runtime folder; the current folder is an empty one."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.delenv("HSU_MASTER", raising=False)
    return folder


def test_a_folder_of_ones_own_is_well(run: Path) -> None:
    assert [ok("runtime-folder", f"masters keep their sockets in {run}")] == list(sockets(HERE))


def test_a_folder_that_hsu_toml_names_is_looked_at(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 80)
    Path("hsu.toml").write_text(f'[master]\nruntime_dir = "{long}"\n')
    [found] = sockets(HERE)
    assert (Verdict.PROBLEM, ELSEWHERE) == (found.verdict, found.cure)
    assert found.cause.startswith(f"runtime folder {long}/hsu-12345678: the path of a socket in it")


def test_a_folder_that_others_can_write_to_is_told(run: Path) -> None:
    run.chmod(0o770)
    cause = f"{run} can be written to by others"
    assert [problem("runtime-folder", cause, f"chmod 700 {run}")] == list(sockets(HERE))


def test_a_folder_of_somebody_else_is_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "is_own_folder", lambda path: path != run)
    cause = f"{run} is not a folder of this user"
    assert [problem("runtime-folder", cause, ELSEWHERE)] == list(sockets(HERE))


def test_a_folder_that_can_not_be_written_to_is_told(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("hsu.toml").write_text(f'[master]\nruntime_dir = "{run}/inner"\n')
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != run and access(path, mode))
    cause = f"{run} can't be written to"
    assert [problem("runtime-folder", cause, ELSEWHERE)] == list(sockets(HERE))


def test_a_runtime_folder_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nosuch")
    first = next(sockets(HERE))
    assert Verdict.WARNING is first.verdict
    assert first.cause.startswith("XDG_RUNTIME_DIR names /nosuch, which is no folder of yours; ")


def test_no_master_is_no_problem(run: Path, temporary_folder: Path) -> None:
    assert [ok("masters", f"no master runs in {run} or {temporary_folder}")] == list(masters(HERE))


def test_masters_that_run_are_listed() -> None:
    with answering() as it:
        folder = Path(it.master.removeprefix("unix:")).parent
        [found] = masters(HERE)
        os.environ["HSU_MASTER"] = it.master
        _, named = masters(HERE)
        del os.environ["HSU_MASTER"]
    assert found.cause.startswith(f"a master runs in {folder}: pid ")
    assert found.cause.endswith(f", {it.folder}/hsu.toml")
    cause = f"HSU_MASTER names {it.master}, and somebody answers there"
    assert ok("masters", cause) == named


def test_what_killed_masters_left_is_removed(run: Path) -> None:
    with private_folder(run) as folder:
        left = folder.rename(run / "hsu-dead")
        owner = left / "master.json"
        owner.write_text(owner.read_text().replace(f'"pid": {os.getpid()}', '"pid": 4194305'))
        with socket(AF_UNIX) as bound:
            bound.bind(str(left / "master.sock"))
        cause = f"what killed masters had left in {run} is removed: 1"
        assert [ok("masters", cause)] == list(masters(HERE))
        assert not left.exists()


def test_leavings_without_a_name_are_told_when_they_are_old(
    run: Path, temporary_folder: Path
) -> None:
    left = run / "hsu-left"
    left.mkdir()
    assert [ok("masters", f"no master runs in {run} or {temporary_folder}")] == list(masters(HERE))
    os.utime(left, (1, 1))
    cause = f"{left} is left of a master that was killed"
    assert warning("masters", cause, f"rm -r {left}") == list(masters(HERE))[-1]


@pytest.mark.parametrize(
    ("where", "cause"),
    [
        ("tcp:127.0.0.1:1", "HSU_MASTER names tcp:127.0.0.1:1, and nothing answers there: Connection refused"),
        ("nowhere", "HSU_MASTER: nowhere: neither an address, such as tcp:127.0.0.1:7000, nor a master's folder"),
    ],
)  # fmt: skip
def test_a_master_that_the_environment_names_has_to_answer(
    monkeypatch: pytest.MonkeyPatch, where: str, cause: str
) -> None:
    monkeypatch.setenv("HSU_MASTER", where)
    *_, found = masters(HERE)
    assert (Verdict.PROBLEM, cause) == (found.verdict, found.cause)


def allow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: int, processes: int, pids: str
) -> None:
    allowed = {resource.RLIMIT_NOFILE: files, resource.RLIMIT_NPROC: processes}
    monkeypatch.setattr(resource, "getrlimit", lambda which: (allowed[which], -1))
    (tmp_path / "pids.max").write_text(f"{pids}\n")
    monkeypatch.setattr(limits_of, "PIDS_MAX", tmp_path / "pids.max")


@pytest.mark.parametrize(("files", "processes", "pids"), [(1024, 512, "512"), (-1, -1, "max")])
def test_limits_that_are_wide_enough_are_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: int, processes: int, pids: str
) -> None:
    allow(monkeypatch, tmp_path, files, processes, pids)
    assert [ok("limits", "enough files and processes are allowed")] == list(limits(HERE))


def test_limits_that_are_low_are_all_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    allow(monkeypatch, tmp_path, 256, 100, "64")
    assert [
        (
            "only 256 files may be open: a master needs ten for each unit, one for each caller",
            "ulimit -n 1024; for a service of systemd: LimitNOFILE=1024",
        ),
        (
            "only 100 processes are allowed, and each of the threads of a worker is one",
            "ulimit -u 512; for a service of systemd: LimitNPROC=512",
        ),
        (
            "the container may have only 64 processes, and each of the threads of a worker is one",
            "start it with --pids-limit=512, or as TasksMax=512",
        ),
    ] == [(found.cause, found.cure) for found in limits(HERE)]
