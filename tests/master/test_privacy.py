"""What a unit is given in confidence is shown by nothing that the master writes, keeps or tells."""

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

import pytest

from hsu_worker.errors import Internal, NotFound, RpcError, StartError, Unavailable
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import Running, app, processes_in, running, text
from tests.until import until


def variables(pid: int) -> dict[str, str]:
    """The environment that a process began with; what it deleted is still there."""
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def command_lines() -> list[str]:
    """Of all processes: the worker's, the keeper's, and any helper's."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.append(Path(f"/proc/{name}/cmdline").read_text(errors="replace"))
        except OSError:
            continue
    return found


def contents(folder: Path, *but: Path) -> list[str]:
    """Of all files below a folder, compiled ones too."""
    files = [path for path in folder.rglob("*") if path.is_file() and path not in but]
    return [path.read_text(errors="replace") for path in files]


class Planted:
    """Secrets of all three ways into a unit's environment, new for each test."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.by_env, self.by_pass_env, self.by_file = (uuid4().hex for _ in range(3))
        patch.setenv("PLANTED_PASSED", self.by_pass_env)
        self.file = folder / "secrets.env"
        self.file.write_text(f"PLANTED_FILE={self.by_file}\n")
        self.file.chmod(0o600)
        (folder / "run").mkdir()
        self.folder = folder
        self.tokens_of_workers: set[str] = set()
        self.tokens_for_master: set[str] = set()

    def toml(self, launch: str, *more: str, implements: str = '["hsu.test.v1.Kinds"]') -> str:
        return text(
            launch,
            'pass_env = ["PLANTED_PASSED"]',
            f'env_file = "{self.file}"',
            # A fork does not show what it was launched with.
            *(['launcher = "spawn"'] if launch.startswith("app") else []),
            *more,
            "[master]",
            f'runtime_dir = "{self.folder}/run"',
            implements=implements,
            env=f', PLANTED_ENV = "{self.by_env}"',
        )

    def learn(self, pid: int) -> None:
        """Note the token of a worker, which has to have got all the others as well."""
        environment = variables(pid)
        assert self.by_env == environment["PLANTED_ENV"]
        assert self.by_pass_env == environment["PLANTED_PASSED"]
        assert self.by_file == environment["PLANTED_FILE"]
        assert len(environment["HSU_TOKEN"]) >= 32
        self.tokens_of_workers.add(environment["HSU_TOKEN"])
        if "HSU_MASTER_TOKEN" in environment:
            self.tokens_for_master.add(environment["HSU_MASTER_TOKEN"])

    def found_in(self, told: Iterable[object]) -> list[str]:
        """Where one of them shows: as it is, or as part of a repr."""
        secrets = {self.by_env, self.by_pass_env, self.by_file}
        secrets |= self.tokens_of_workers | self.tokens_for_master
        return [str(each) for each in told for secret in secrets if secret in f"{each} {each!r}"]

    def shown(self, it: Running, caplog: pytest.LogCaptureFixture, *more: object) -> list[str]:
        """Where one of them shows in what the master keeps and tells."""
        master = it.master
        told = [*it.told, master.status(), master.log("u"), master.config, vars(master)]
        logged = [*caplog.messages, caplog.text, *(vars(record) for record in caplog.records)]
        files = contents(self.folder, self.file)
        return self.found_in([*told, *logged, *files, *command_lines(), *more])


async def test_a_secret_shows_nowhere_in_the_whole_life_of_a_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    planted = Planted(tmp_path, monkeypatch)
    body = "async def unary(self, request):\n    print('out', flush=True)\n    raise eval(request.text)"
    errors: list[RpcError] = []
    async with running(tmp_path, planted.toml(app(tmp_path, body), 'grace = "1s"')) as it:
        for code in ("NotFound('no')", "ValueError()", "os._exit(3)", "NotFound('again')"):
            with pytest.raises(RpcError) as caught:
                await it.kinds.unary(Ask(text=code), timeout=30)
            errors.append(caught.value)
            if "_exit" in code:
                await it.event("exited")
            for pid in processes_in(tmp_path):
                planted.learn(pid)
            assert [] == planted.shown(it, caplog, *errors)
        await it.master.stop("u")
        assert [] == planted.shown(it, caplog)
        assert "out" in it.lines("stdout")

    assert [NotFound, Internal, Unavailable, NotFound] == [type(error) for error in errors]
    assert 2 == len(planted.tokens_of_workers)
    assert [] == planted.found_in([*it.told, caplog.text, *contents(tmp_path, planted.file)])


LIFESPAN = "@lifespan\nasync def model(self):\n    raise RuntimeError('no model')\n    yield"


@pytest.mark.parametrize(
    ("body", "before", "implements", "reason"),
    [
        ("", "raise RuntimeError('no licence')", '["hsu.test.v1.Kinds"]', "no licence"),
        (LIFESPAN, "", '["hsu.test.v1.Kinds"]', "no model"),
        ("", "", '["hsu.test.v1.Kinds", "hsu.a.v1.InterfaceA"]', "lacks interface"),
    ],
    ids=["import", "lifespan", "handshake"],
)
async def test_a_secret_shows_in_no_failed_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    body: str,
    before: str,
    implements: str,
    reason: str,
) -> None:
    caplog.set_level("DEBUG")
    planted = Planted(tmp_path, monkeypatch)
    toml = planted.toml(app(tmp_path, body, before=before), implements=implements)
    async with running(tmp_path, toml) as it:
        with pytest.raises(StartError, match=reason) as caught:
            await it.kinds.unary(Ask(), timeout=30)
        assert [] == planted.shown(it, caplog, caught.value, caught.value.__cause__)


async def test_the_token_of_a_start_that_fails_shows_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    planted = Planted(tmp_path, monkeypatch)
    code = (
        "import os, time\n"
        "while not os.path.exists('go'): time.sleep(0.01)\n"
        "os.write(int(os.environ['HSU_ANNOUNCE_FD']), b'hello there\\n'); time.sleep(60)"
    )
    launch = f"command = {json.dumps([sys.executable, '-c', code])}"
    async with running(tmp_path, planted.toml(launch, 'grace = "0s"')) as it:
        start = asyncio.create_task(it.master.start("u"))
        # Before its exec a process is its parent's copy.
        await until(
            lambda: [pid for pid in processes_in(tmp_path) if "HSU_TOKEN" in variables(pid)]
        )
        for pid in processes_in(tmp_path):
            planted.learn(pid)
        (tmp_path / "go").touch()
        with pytest.raises(StartError, match="not an announce line") as caught:
            await start
        assert [] == planted.shown(it, caplog, caught.value, caught.value.__cause__)
    assert planted.tokens_of_workers


async def test_a_broken_env_file_is_named_and_not_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    planted = Planted(tmp_path, monkeypatch)
    async with running(tmp_path, planted.toml(app(tmp_path))) as it:
        planted.file.write_text(f"PLANTED_FILE {planted.by_file}\n")
        with pytest.raises(
            StartError, match=r"secrets\.env: line 1: expected NAME=VALUE"
        ) as broken:
            await it.kinds.unary(Ask(), timeout=30)
        planted.file.write_text(f"PLANTED_FILE={planted.by_file}\n")
        planted.file.chmod(0o644)
        with pytest.raises(StartError, match="other users can open it; run: chmod 600") as opened:
            await it.kinds.unary(Ask(), timeout=30)
        assert [] == planted.shown(it, caplog, broken.value, opened.value)
        assert [] == processes_in(tmp_path)


async def test_the_search_finds_what_a_worker_tells_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    planted = Planted(tmp_path, monkeypatch)
    body = "async def unary(self, request):\n    exec(request.text)\n    return Answer()"
    async with running(tmp_path, planted.toml(app(tmp_path, body))) as it:
        await it.kinds.unary(Ask(), timeout=30)
        assert [] == planted.shown(it, caplog)
        for code in ("print(os.environ['PLANTED_ENV'], flush=True)", _WRITE, _RUN):
            await it.kinds.unary(Ask(text=code), timeout=30)
        await until(lambda: it.lines("stdout"))
        assert planted.found_in(map(repr, it.master.log("u")))
        assert planted.found_in(contents(tmp_path, planted.file))
        await until(lambda: planted.found_in(command_lines()))


_WRITE = "Path('run/told').write_text(os.environ['PLANTED_PASSED'])"
#: Popen, because what `os.spawnv` does is a fork, which grpc's threads may hold up for ever.
_RUN = """
import subprocess
code = "import time; time.sleep(60)"
subprocess.Popen([sys.executable, "-c", code, os.environ["PLANTED_FILE"]])
"""
