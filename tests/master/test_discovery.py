"""Which master one talks to, and how it is found."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from hsu_worker.errors import ConfigError, MalformedAddress, NoMaster
from hsu_worker.master import Config, Master
from hsu_worker.master.discovery import find_master
from hsu_worker.master.folder import (
    Owner,
    _started,
    owner_of,
    private_folder,
    running_masters,
    runtime_folder,
)
from tests.worker.process import environment

GONE = Owner(pid=1, started="another time", config="")


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's runtime directory, empty; nothing else says where a master is."""
    for name in ("HSU_MASTER", "HSU_MASTER_TOKEN", "HSU_MASTER_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with tempfile.TemporaryDirectory(prefix="hsu-t-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


def config(folder: Path, text: str = "") -> Config:
    file = folder / "hsu.toml"
    file.write_text(text)
    return Config.from_file(file)


def left_behind(parent: Path, owner: Owner | None = GONE, *, listening: bool = False) -> Path:
    """The folder of a master, as a killed one leaves it."""
    folder = Path(tempfile.mkdtemp(prefix="hsu-", dir=parent))
    if owner is not None:
        (folder / "master.json").write_text(json.dumps(asdict(owner)))
    (folder / "token").touch(0o600)
    (folder / "token").write_text("secret")
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{folder}/master.sock")
    if listening:
        server.listen()
        OPEN.append(server)
    else:
        server.close()
    return folder


#: Servers of the test that runs.
OPEN: list[socket.socket] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


async def test_the_only_one_that_runs_is_found(runtime: Path, tmp_path: Path) -> None:
    async with Master(config(tmp_path)) as master:
        place = find_master()
        [(folder, owner)] = running_masters(runtime).items()
    assert master.address == place.address
    assert (master._tokens.own, str(folder / "token")) == (place.token, place.source)
    assert "secret" not in repr(place)
    assert place.token not in repr(place)
    assert owner is not None
    assert (os.getpid(), f"{tmp_path}/hsu.toml", True) == (owner.pid, owner.config, owner.lives)
    assert {} == running_masters(runtime)
    assert [] == os.listdir(runtime)


def test_without_one_the_cure_is_told(runtime: Path, temporary_folder: Path) -> None:
    with pytest.raises(NoMaster) as none:
        find_master()
    assert (
        f"no master of this user runs in {runtime} or {temporary_folder}; "
        "start one with `hsu-worker master run hsu.toml`, or name one with --master or HSU_MASTER"
    ) == str(none.value)


def test_one_that_was_started_in_another_environment_is_found(
    runtime: Path, temporary_folder: Path
) -> None:
    temporary_folder.mkdir(mode=0o700, exist_ok=True)
    there = left_behind(temporary_folder, listening=True)
    assert f"unix:{there}/master.sock" == str(find_master().address)
    here = left_behind(runtime, listening=True)
    with pytest.raises(NoMaster) as several:
        find_master()
    assert [f"--master {here}", f"--master {there}"] == [
        line.partition("  ")[0] for line in str(several.value).splitlines()[1:]
    ]


def test_of_several_one_has_to_be_chosen(runtime: Path) -> None:
    owners = (Owner(pid=7, started="1", config="/a/hsu.toml"), Owner(pid=8, started="1", config=""))
    lines = [
        f"--master {left_behind(runtime, owner, listening=True)}  {who}"
        for owner, who in (
            (owners[0], "(pid 7, /a/hsu.toml)"),
            (owners[1], "(pid 8, without a file)"),
            (None, "(it does not say who it is)"),
        )
    ]
    with pytest.raises(NoMaster) as several:
        find_master()
    assert ["several masters run; choose one:", *sorted(lines)] == str(several.value).splitlines()


def test_what_a_killed_master_left_is_removed(runtime: Path) -> None:
    folder = left_behind(runtime)
    assert {} == running_masters(runtime)
    assert not folder.exists()


@pytest.mark.parametrize("owner", [None, Owner(pid=os.getpid(), started="", config="")])
def test_a_folder_whose_owner_may_live_stays(runtime: Path, owner: Owner | None) -> None:
    if owner is not None:
        owner = Owner(pid=owner.pid, started=_started(owner.pid), config="")
    folder = left_behind(runtime, owner)
    assert {} == running_masters(runtime)
    assert folder.exists()


def test_a_folder_without_a_socket_stays(runtime: Path) -> None:
    folder = left_behind(runtime)
    (folder / "master.sock").unlink()
    assert {} == running_masters(runtime)
    assert folder.exists()


def test_a_folder_that_somebody_listens_in_stays_whatever_its_pid(runtime: Path) -> None:
    # Its master may run in another container, whose pids mean nothing here.
    folder = left_behind(runtime, listening=True)
    assert {folder: GONE} == running_masters(runtime)


def test_a_link_to_a_folder_is_none_of_ours(runtime: Path, tmp_path: Path) -> None:
    folder = left_behind(tmp_path)
    (runtime / "hsu-link").symlink_to(folder)
    assert {} == running_masters(runtime)
    assert folder.exists()


def test_a_master_that_is_too_busy_to_answer_runs_and_holds_nobody_up(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hsu_worker.master.folder._PROBE", 0.05)
    folder = left_behind(runtime, listening=True)
    OPEN[-1].listen(0)
    first = socket.socket(socket.AF_UNIX)
    OPEN.append(first)
    first.connect(f"{folder}/master.sock")
    assert [folder] == list(running_masters(runtime))


def test_a_killed_master_that_nobody_reaped_is_gone(runtime: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        owner = Owner(pid=process.pid, started=_started(process.pid), config="")
        assert owner.lives
        folder = left_behind(runtime, owner)
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert {} == running_masters(runtime)
        assert not folder.exists()


def test_a_master_is_named_by_its_folder(runtime: Path, tmp_path: Path) -> None:
    folder = left_behind(runtime, listening=True)
    left_behind(runtime, listening=True)
    place = find_master(str(folder))
    assert (f"unix:{folder}/master.sock", "secret") == (str(place.address), place.token)


def test_a_master_is_named_by_the_folder_that_holds_its_own(runtime: Path) -> None:
    (runtime / "run").mkdir()
    folder = left_behind(runtime / "run", listening=True)
    left_behind(runtime, listening=True)
    assert f"unix:{folder}/master.sock" == str(find_master(str(runtime / "run")).address)


def test_a_new_master_removes_what_killed_ones_left_and_nothing_else(runtime: Path) -> None:
    gone = left_behind(runtime)
    kept = {
        left_behind(runtime, listening=True),
        left_behind(runtime, None),
        left_behind(runtime, Owner(pid=os.getpid(), started=_started(os.getpid()), config="")),
    }
    with private_folder(runtime) as first, private_folder(runtime) as second:
        assert kept | {first, second} == set(runtime.glob("hsu-*"))
    assert not gone.exists()


def test_a_master_that_starts_is_not_taken_for_a_killed_one_by_others(runtime: Path) -> None:
    with private_folder(runtime) as first:
        for _ in ("before it has a socket", "before it listens"):
            with private_folder(runtime):
                assert {} == running_masters(runtime)
                assert first.exists()
            socket_of_it = socket.socket(socket.AF_UNIX)
            OPEN.append(socket_of_it)
            if not (first / "master.sock").exists():
                socket_of_it.bind(f"{first}/master.sock")


def test_a_folder_in_which_no_master_runs_is_named(runtime: Path, tmp_path: Path) -> None:
    left_behind(runtime, listening=True)
    with pytest.raises(NoMaster) as none:
        find_master(str(tmp_path))
    assert (
        f"no master runs in {tmp_path}; start one with `hsu-worker master run hsu.toml`, "
        "or name one with --master or HSU_MASTER"
    ) == str(none.value)


def test_a_token_file_that_is_given_counts_for_a_folder_too(runtime: Path) -> None:
    folder = left_behind(runtime, listening=True)
    given = runtime / "given"
    given.touch(0o600)
    given.write_text("given")
    named = {"HSU_MASTER_TOKEN_FILE": "/nosuch", "HSU_MASTER_TOKEN": "mine"}
    assert "given" == find_master(token_file=given, environ=named).token
    assert "given" == find_master(str(folder), token_file=given, environ=named).token
    assert "secret" == find_master(str(folder), environ=named).token


def test_the_environment_names_one(runtime: Path) -> None:
    left_behind(runtime, listening=True)
    environ = {"HSU_MASTER": "tcp:127.0.0.1:7000", "HSU_MASTER_TOKEN": "mine"}
    place = find_master(environ=environ)
    assert ("tcp:127.0.0.1:7000", "mine", "HSU_MASTER_TOKEN") == (
        str(place.address),
        place.token,
        place.source,
    )
    assert "tcp:127.0.0.1:7001" == str(find_master("tcp:127.0.0.1:7001", environ=environ).address)


def test_the_token_of_an_address_comes_from_the_nearest_place(runtime: Path) -> None:
    folder = left_behind(runtime)
    for name in ("given", "named"):
        (runtime / name).touch(0o600)
        (runtime / name).write_text(name)
    where = f"unix:{folder}/master.sock"
    named = {"HSU_MASTER_TOKEN_FILE": str(runtime / "named")}
    both = named | {"HSU_MASTER_TOKEN": "mine"}
    given = runtime / "given"
    assert "given" == find_master(where, token_file=given, environ=both).token
    assert "mine" == find_master(where, environ=both).token
    assert "named" == find_master(where, environ=named).token
    assert "secret" == find_master(where, environ={}).token
    assert "" == find_master("tcp:127.0.0.1:7000", environ={}).token


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        (
            "somewhere",
            "somewhere: neither an address, such as tcp:127.0.0.1:7000, nor a master's folder",
        ),
        (
            "tcp:127.0.0.1",
            (
                "address 'tcp:127.0.0.1': '127.0.0.1' is not a port; write unix:<absolute path> "
                "or tcp:<host>:<port>, such as tcp:127.0.0.1:0"
            ),
        ),
        (
            f"unix:/{'x' * 120}",
            (
                f"address 'unix:/{'x' * 120}': the path has 121 bytes, 100 are possible; "
                "choose a shorter folder"
            ),
        ),
    ],
)
def test_what_names_no_master_is_told(runtime: Path, where: str, problem: str) -> None:
    with pytest.raises(MalformedAddress) as wrong:
        find_master(where)
    assert problem == str(wrong.value)


def test_a_token_that_others_can_read_is_refused(runtime: Path) -> None:
    folder = left_behind(runtime, listening=True)
    (folder / "token").chmod(0o644)
    with pytest.raises(ConfigError, match="other users can open it; run: chmod 600 "):
        find_master(str(folder))


def test_what_is_no_token_is_refused_and_not_shown(runtime: Path) -> None:
    folder = left_behind(runtime, listening=True)
    (folder / "token").write_text("two\nlines\n")
    with pytest.raises(ConfigError) as refused:
        find_master(str(folder))
    cure = "holds no token: printable ASCII without spaces is needed"
    assert f"{folder}/token {cure}" == str(refused.value)
    with pytest.raises(ConfigError) as refused:
        find_master("tcp:127.0.0.1:7000", environ={"HSU_MASTER_TOKEN": "\udcff"})
    assert f"HSU_MASTER_TOKEN {cure}" == str(refused.value)


def test_without_a_runtime_directory_masters_meet_in_the_temporary_one(
    runtime: Path, temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert temporary_folder == runtime_folder()
    with private_folder() as folder:
        assert temporary_folder == folder.parent
        owner = owner_of(folder)
    assert owner is not None
    assert ("", True) == (owner.config, owner.lives)


def test_the_temporary_directory_holds_a_folder_for_each_user(runtime: Path) -> None:
    code = "from hsu_worker.master.folder import runtime_folder; print(runtime_folder())"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(TMPDIR=str(runtime)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{runtime}/hsu-{os.getuid()}\n" == said.stdout


def of_another(path: Path) -> bool:
    """Whether a folder could be given to another user, which only root can do."""
    path.mkdir()
    if os.getuid() == 0:
        os.chown(path, 12345, -1)
    return os.getuid() == 0


def test_the_runtime_directory_of_another_user_is_not_used(
    runtime: Path, temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As after `sudo -E`. Who can't make one of another user has one that is no folder.
    foreign = runtime / "foreign"
    if not of_another(foreign):
        foreign.rmdir()
        foreign.touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(foreign))
    assert temporary_folder == runtime_folder()


def test_what_can_be_no_runtime_folder_is_refused_with_the_cure(runtime: Path) -> None:
    (runtime / "link").symlink_to(runtime)
    (runtime / "dangling").symlink_to("nowhere")
    (runtime / "file").touch()
    flaws = {
        "link": "it is a link",
        "dangling": "it is a link",
        "file": "it is no folder",
        "file/below": "Not a directory",
    }
    if of_another(runtime / "foreign"):
        flaws["foreign"] = "it belongs to another user"
    for name, flaw in flaws.items():
        with pytest.raises(ConfigError) as refused, private_folder(runtime / name):
            pass
        cure = "set master.runtime_dir"
        assert f"runtime folder {runtime}/{name}: {flaw}; {cure}" == str(refused.value)


@pytest.mark.parametrize("what", ["tempfile.mkdtemp", "pathlib.Path.write_text"])
def test_a_runtime_folder_in_which_nothing_can_be_made_is_refused(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    # A mode would not keep root out.
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(what, refuse)
    with pytest.raises(ConfigError) as refused, private_folder(runtime / "made"):
        pass
    assert (f"runtime folder {runtime}/made: Permission denied; set master.runtime_dir") == str(
        refused.value
    )
    assert [] == os.listdir(runtime / "made")
