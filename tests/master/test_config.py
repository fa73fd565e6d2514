import math
import os
import resource
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from hsu_worker.errors import ConfigError
from hsu_worker.master.config import Config, MasterConfig, UnitConfig, keys_table
from hsu_worker.master.environment import child_environment
from hsu_worker.master.keys import keys_of
from hsu_worker.master.policy import Restart
from hsu_worker.master.values import toml
from hsu_worker.wire.secret_file import read_token

CPU = min(os.sched_getaffinity(0))
APP = 'app = "m:App"'
COMMAND = 'command = ["worker"]'
ADDRESS = 'address = "tcp:127.0.0.1:5000"'
REGISTER = "register = true"
IMPLEMENTS = 'implements = ["hsu.a.v1.InterfaceA"]'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    secret(tmp_path / "secrets", "TOKEN=abc\n")
    program = tmp_path / "python"
    program.write_text("")
    program.chmod(0o700)
    return tmp_path


def secret(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def unit(folder: Path, *lines: str, implements: str = IMPLEMENTS) -> UnitConfig:
    text = "\n".join(["[units.x]", implements, *lines])
    return Config.from_text(text, folder=folder).units["x"]


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Config.from_text(text, folder=folder)
    return str(caught.value).splitlines()


def unit_mistakes(folder: Path, *lines: str, implements: str = IMPLEMENTS) -> list[str]:
    return mistakes(folder, "\n".join(["[units.x]", implements, *lines]))


# For each key: the kind of unit, a line, and the field's value. {} stands for the folder.
GOOD: list[tuple[str, str, Any]] = [
    ("app", APP, "m:App"),
    ("command", COMMAND, ("worker",)),
    ("command", 'command = ["./bin/w", "./a"]', ("{}/bin/w", "./a")),
    ("command", 'command = ["/bin/w"]', ("/bin/w",)),
    ("address", ADDRESS, "tcp:127.0.0.1:5000"),
    ("register", REGISTER, True),
    ("implements", APP, ("hsu.a.v1.InterfaceA",)),
    ("idle", f'{APP}\nidle = "60s"', 60.0),
    ("idle", f'{APP}\nidle = "0s"', 0.0),
    ("idle", f'{APP}\nidle = "never"', math.inf),
    ("stall", f'{APP}\nstall = "500ms"', 0.5),
    ("start_timeout", f'{APP}\nstart_timeout = "2m"', 120.0),
    ("drain", f'{ADDRESS}\ndrain = "1h"', 3600.0),
    ("pinned", f"{APP}\npinned = true", True),
    ("preload", f"{ADDRESS}\npreload = true", True),
    ("concurrency", f"{APP}\nconcurrency = 4", 4),
    ("replicas", f"{APP}\nconcurrency = 4\nreplicas = 2", 2),
    ("scale_down", f'{APP}\nconcurrency = 4\nreplicas = 2\nscale_down = "30s"', 30.0),
    ("scale_down", f'{APP}\nconcurrency = 4\nreplicas = 2\nscale_down = "never"', math.inf),
    ("restart", f'{APP}\nrestart = "on-failure"', Restart.ON_FAILURE),
    ("backoff", f'{APP}\nbackoff = "1s"', 1.0),
    ("backoff_most", f'{APP}\nbackoff_most = "1m"', 60.0),
    ("healthy", f'{APP}\nhealthy = "5m"', 300.0),
    ("breaker", f"{APP}\nbreaker = 3", 3),
    ("breaker_window", f'{APP}\nbreaker_window = "2m"', 120.0),
    ("breaker_retry", f'{APP}\nbreaker_retry = "10s"', 10.0),
    ("ping", f'{APP}\nping = "never"', math.inf),
    ("ping_timeout", f'{APP}\nping_timeout = "1s"', 1.0),
    ("max_call", f'{APP}\nmax_call = "1h"', 3600.0),
    ("grace", f'{COMMAND}\ngrace = "1.5s"', 1.5),
    ("queue", f"{REGISTER}\nqueue = 1", 1),
    ("listen", f'{APP}\nlisten = "tcp"', "tcp"),
    ("cwd", f'{APP}\ncwd = "sub"', Path("{}/sub")),
    ("env", f'{APP}\nenv = {{A = "1"}}', {"A": "1"}),
    ("pass_env", f'{APP}\npass_env = ["A", "B"]', ("A", "B")),
    ("env_file", f'{APP}\nenv_file = "secrets"', Path("{}/secrets")),
    ("python", f'{APP}\npython = "./python"', Path("{}/python")),
    ("launcher", f'{APP}\nlauncher = "spawn"', "spawn"),
    ("lifetime", f'{APP}\nlifetime = "survive"', "survive"),
    ("survivor", f'{APP}\nsurvivor = "stop"', "stop"),
    ("prewarm", f"{COMMAND}\nprewarm = 2", 2),
    ("preimport", f"{APP}\npreimport = true", True),
    ("strict", f"{APP}\nstrict = true", True),
    ("token_file", f'{ADDRESS}\ntoken_file = "secrets"', Path("{}/secrets")),
    ("log_file", f'{REGISTER}\nlog_file = "new/x.log"', Path("{}/new/x.log")),
    ("open_files", f"{APP}\nopen_files = 64", 64),
    ("address_space", f'{APP}\naddress_space = "8GiB"', 8 << 30),
    ("nice", f"{APP}\nnice = 19", 19),
    ("cpus", f"{APP}\ncpus = [{CPU}, {CPU}]", (CPU,)),
    ("restart_above", f'{APP}\nrestart_above = "1MiB"', 1 << 20),
    ("warm", f'{APP}\nwarm = "10m"', 600.0),
    ("depends_on", f"{APP}\ndepends_on = []", ()),
    ("memory", f'{APP}\nmemory = "2GB"', 2_000_000_000),
    ("groups", f"{APP}\ngroups = []", ()),
    ("log_size", f'{APP}\nlog_size = "500B"', 500),
    ("log_size", f'{APP}\nlog_size = "10KB"', 10_000),
    ("log_size", f'{APP}\nlog_size = "10KiB"', 10 << 10),
    ("log_size", f'{APP}\nlog_size = "10MB"', 10_000_000),
    ("log_size", f'{APP}\nlog_size = "10MiB"', 10 << 20),
    ("log_size", f'{APP}\nlog_size = "2GB"', 2_000_000_000),
    ("log_size", f'{APP}\nlog_size = "2GiB"', 2 << 30),
    ("log_keep", f"{APP}\nlog_keep = 1", 1),
]

LIST = 'a list of interface names such as ["hsu.a.v1.InterfaceA"]'
WORDS = 'a list of strings such as ["./bin/worker", "--fast"]'
FILES = (
    f"at most {resource.getrlimit(resource.RLIMIT_NOFILE)[1]}, which is the hard limit of this process "
    "(ulimit -Hn)"
)
CPUS = f"a list of processors, of {', '.join(map(str, sorted(os.sched_getaffinity(0))))}"
SIZE = 'a size such as "10MB" or "10MiB"'
GROUPS = 'a list of names of groups such as ["gpu"]'
NAMES = 'a list of variable names such as ["API_KEY"]'

# For each key: a unit's lines, and the message.
BAD: list[tuple[str, str, str]] = [
    (
        "app",
        'app = "m:"',
        'expected an import string such as "my_package.app:App", got "m:"',
    ),
    ("command", "command = []", f"expected {WORDS}, got []"),
    ("command", 'command = "worker"', f'expected {WORDS}, got "worker"'),
    ("command", 'command = ["worker", 1]', f'expected {WORDS}, got ["worker", 1]'),
    ("address", "address = 1", 'expected an address such as "tcp:127.0.0.1:5000", got 1'),
    (
        "address",
        'address = "tcp:127.0.0.1:0"',
        "address 'tcp:127.0.0.1:0': port 0 can't be dialled; write the worker's port",
    ),
    ("register", "register = false", "expected true (or no such line), got false"),
    (
        "depends_on",
        f'{APP}\ndepends_on = "y"',
        'expected a list of unit names such as ["database"], got "y"',
    ),
    ("warm", f'{APP}\nwarm = "0s"', 'expected a duration such as "60s", longer than 0s, got "0s"'),
    ("idle", f"{APP}\nidle = 60", 'expected a duration such as "60s" or "never", got 60'),
    ("idle", f'{APP}\nidle = "60"', 'expected a duration such as "60s" or "never", got "60"'),
    ("idle", f"{APP}\nidle = 1.5", 'expected a duration such as "60s" or "never", got 1.5'),
    (
        "stall",
        f'{APP}\nstall = "0s"',
        'expected a duration such as "60s", longer than 0s, got "0s"',
    ),
    ("stall", f'{APP}\nstall = "never"', 'expected a duration such as "60s", got "never"'),
    ("start_timeout", f"{APP}\nstart_timeout = 1", 'expected a duration such as "60s", got 1'),
    ("drain", f'{APP}\ndrain = "-1s"', 'expected a duration such as "60s", got "-1s"'),
    ("grace", f"{APP}\ngrace = true", 'expected a duration such as "60s", got true'),
    ("queue", f"{APP}\nqueue = 0", "expected a whole number of at least 1, got 0"),
    ("queue", f"{APP}\nqueue = true", "expected a whole number of at least 1, got true"),
    ("listen", f'{APP}\nlisten = "udp"', 'expected "unix" or "tcp", got "udp"'),
    ("cwd", f'{APP}\ncwd = "nowhere"', "no such folder: {}/nowhere"),
    ("cwd", f"{APP}\ncwd = 1", "expected a path, got 1"),
    ("env", f"{APP}\nenv = {{A = 4321}}", "the value of A is no string; put it in quotes"),
    ("env", f'{APP}\nenv = "s3cret"', 'expected a table such as {MODE = "fast"}'),
    (
        "env",
        f'{APP}\nenv = {{"A B" = "s3cret"}}',
        '"A B" can\'t name a variable; use letters, digits and _',
    ),
    (
        "env",
        f'{APP}\nenv = {{HSU_TOKEN = "s3cret"}}',
        "the master sets HSU_TOKEN itself; remove it",
    ),
    ("pass_env", f'{APP}\npass_env = "A"', f'expected {NAMES}, got "A"'),
    (
        "pass_env",
        f'{APP}\npass_env = ["A=s3cret"]',
        "expected names without values; values belong into 'env_file'",
    ),
    (
        "pass_env",
        f'{APP}\npass_env = ["HSU_LISTEN"]',
        "the master sets HSU_LISTEN itself; remove it",
    ),
    ("env_file", f'{APP}\nenv_file = "nowhere"', "{}/nowhere: No such file or directory"),
    ("env_file", f'{APP}\nenv_file = "sub"', "{}/sub: not a regular file"),
    ("python", f'{APP}\npython = "./nowhere"', "no such program: {}/nowhere"),
    (
        "python",
        f'{APP}\npython = "no-such-python"',
        'no program "no-such-python" on PATH; write the interpreter\'s path',
    ),
    ("pinned", f"{APP}\npinned = 1", "expected true or false, got 1"),
    ("preload", f"{APP}\npreload = 1", "expected true or false, got 1"),
    ("concurrency", f"{APP}\nconcurrency = 0", "expected a whole number of at least 1, got 0"),
    (
        "restart",
        f'{APP}\nrestart = "on-fail"',
        (
            'expected "on-demand" or "on-failure" or "always" or "never", got "on-fail"; '
            'did you mean "on-failure"?'
        ),
    ),
    ("backoff", f"{APP}\nbackoff = 1", 'expected a duration such as "60s", got 1'),
    ("backoff_most", f"{APP}\nbackoff_most = 1", 'expected a duration such as "60s", got 1'),
    ("healthy", f"{APP}\nhealthy = 1", 'expected a duration such as "60s", got 1'),
    ("breaker", f"{APP}\nbreaker = true", "expected a whole number of at least 1, got true"),
    (
        "breaker_window",
        f'{APP}\nbreaker_window = "0s"',
        'expected a duration such as "60s", longer than 0s, got "0s"',
    ),
    ("breaker_retry", f"{APP}\nbreaker_retry = 1", 'expected a duration such as "60s", got 1'),
    ("ping", f"{APP}\nping = 1", 'expected a duration such as "60s" or "never", got 1'),
    ("ping_timeout", f"{APP}\nping_timeout = 1", 'expected a duration such as "60s", got 1'),
    ("max_call", f"{APP}\nmax_call = 1", 'expected a duration such as "60s" or "never", got 1'),
    ("launcher", f"{APP}\nlauncher = true", 'expected "fork" or "spawn", got true'),
    ("preimport", f"{APP}\npreimport = 1", "expected true or false, got 1"),
    (
        "lifetime",
        f'{APP}\nlifetime = "survives"',
        'expected "bound" or "survive", got "survives"; did you mean "survive"?',
    ),
    (
        "survivor",
        f'{APP}\nsurvivor = "kill"',
        'expected "adopt" or "stop", got "kill"',
    ),
    ("prewarm", f"{APP}\nprewarm = 0", "expected a whole number of at least 1, got 0"),
    ("strict", f'{APP}\nstrict = "yes"', 'expected true or false, got "yes"'),
    ("token_file", f'{ADDRESS}\ntoken_file = "nowhere"', "{}/nowhere: No such file or directory"),
    ("log_file", f'{APP}\nlog_file = ""', 'expected a path, got ""'),
    ("open_files", f"{APP}\nopen_files = 10", "expected a whole number of at least 64, got 10"),
    ("open_files", f"{APP}\nopen_files = {10**12}", f"expected {FILES}, got {10**12}"),
    ("address_space", f"{APP}\naddress_space = 8", f"expected {SIZE}, got 8"),
    ("nice", f"{APP}\nnice = 0", "expected a whole number from 1 to 19, got 0"),
    ("nice", f"{APP}\nnice = true", "expected a whole number from 1 to 19, got true"),
    ("cpus", f"{APP}\ncpus = []", f"expected {CPUS}, got []"),
    ("cpus", f"{APP}\ncpus = [4096]", f"expected {CPUS}, got [4096]"),
    ("cpus", f"{APP}\ncpus = [true]", f"expected {CPUS}, got [true]"),
    ("cpus", f"{APP}\ncpus = [[0]]", f"expected {CPUS}, got [[0]]"),
    ("replicas", f"{APP}\nreplicas = 0", "expected a whole number of at least 1, got 0"),
    (
        "replicas",
        f"{ADDRESS}\nconcurrency = 1\nreplicas = 2",
        "does nothing in a unit with 'address', only in one with 'app' or 'command'; remove it",
    ),
    (
        "scale_down",
        f"{APP}\nconcurrency = 1\nreplicas = 2\nscale_down = 5",
        'expected a duration such as "60s" or "never", got 5',
    ),
    ("restart_above", f"{APP}\nrestart_above = 8", f"expected {SIZE}, got 8"),
    ("memory", f"{APP}\nmemory = 8", f"expected {SIZE}, got 8"),
    ("groups", f'{APP}\ngroups = "gpu"', f'expected {GROUPS}, got "gpu"'),
    ("groups", f'{APP}\ngroups = [""]', f'expected {GROUPS}, got [""]'),
    ("log_size", f"{APP}\nlog_size = 10", f"expected {SIZE}, got 10"),
    ("log_size", f'{APP}\nlog_size = "10"', f'expected {SIZE}, got "10"'),
    ("log_size", f'{APP}\nlog_size = "10 MB"', f'expected {SIZE}, got "10 MB"'),
    ("log_size", f'{APP}\nlog_size = "0MB"', f'expected {SIZE}, got "0MB"'),
    ("log_keep", f"{APP}\nlog_keep = 0", "expected a whole number of at least 1, got 0"),
]


def filled(value: Any, folder: Path) -> Any:
    if isinstance(value, str):
        return value.replace("{}", str(folder))
    if isinstance(value, Path):
        return Path(str(value).replace("{}", str(folder)))
    return tuple(filled(each, folder) for each in value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(("key", "lines", "expected"), GOOD)
def test_a_key_is_read(folder: Path, key: str, lines: str, expected: Any) -> None:
    assert filled(expected, folder) == getattr(unit(folder, lines), key)


@pytest.mark.parametrize(("key", "lines", "message"), BAD)
def test_a_wrong_value_is_named_with_its_cure(
    folder: Path, key: str, lines: str, message: str
) -> None:
    expected = f"hsu.toml: units.x.{key}: {message.replace('{}', str(folder))}"
    assert [expected] == unit_mistakes(folder, lines)


def test_replicas_need_to_know_when_a_worker_is_full(folder: Path) -> None:
    expected = (
        "hsu.toml: units.x.replicas: another worker starts when those that run are full, and without "
        "concurrency none ever is; write concurrency = 1, or how many calls a worker takes at the same time"
    )
    assert [expected] == unit_mistakes(folder, f"{APP}\nreplicas = 2")
    assert 1 == unit(folder, f"{APP}\nreplicas = 1").replicas


def test_replicas_do_not_survive(folder: Path) -> None:
    expected = (
        "hsu.toml: units.x.replicas: a master adopts one worker of a unit; "
        'remove it, or lifetime = "survive"'
    )
    lines = ("concurrency = 1", "replicas = 2", 'lifetime = "survive"')
    assert [expected] == unit_mistakes(folder, APP, *lines)


def test_scale_down_without_replicas(folder: Path) -> None:
    expected = "hsu.toml: units.x.scale_down: does nothing without replicas; write replicas = 2, or remove it"
    assert [expected] == unit_mistakes(folder, f'{APP}\nscale_down = "30s"')


def test_every_key_has_a_test_for_its_value_and_its_mistake() -> None:
    declared = set(keys_of(UnitConfig))
    assert declared == {key for key, _, _ in GOOD}
    assert declared == {key for key, _, _ in BAD} | {"implements"}
    assert {each.name for each in fields(UnitConfig)} == declared | {"name"}


def test_the_defaults(folder: Path) -> None:
    expected = UnitConfig(
        name="x",
        app="m:App",
        implements=("hsu.a.v1.InterfaceA",),
        idle=300.0,
        stall=30.0,
        start_timeout=600.0,
        drain=30.0,
        grace=10.0,
        queue=1000,
        listen="unix",
        cwd=folder,
        env={},
        pass_env=(),
        env_file=None,
        python=Path(sys.executable),
        strict=False,
        token_file=None,
        log_file=None,
        log_size=10 << 20,
        log_keep=3,
    )
    assert expected == unit(folder, APP)


def test_an_interpreter_is_found_on_the_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert folder / "python" == unit(folder, APP, 'python = "python"').python


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[]", f"expected {LIST}, got []"),
        ('"hsu.a.v1.InterfaceA"', f'expected {LIST}, got "hsu.a.v1.InterfaceA"'),
        ('["hsu a"]', f'expected {LIST}, got ["hsu a"]'),
        ('["a.B", "a.B"]', "a.B is there twice; remove one"),
        ('["hsu.core.v1.Core"]', "every worker serves hsu.core.v1.Core; remove it from the list"),
    ],
)
def test_wrong_interfaces_are_named(folder: Path, value: str, message: str) -> None:
    assert [f"hsu.toml: units.x.implements: {message}"] == unit_mistakes(
        folder, APP, implements=f"implements = {value}"
    )


def test_implements_is_required(folder: Path) -> None:
    expected = 'hsu.toml: units.x.implements: missing; write implements = ["hsu.a.v1.InterfaceA"]'
    assert [expected] == unit_mistakes(folder, APP, implements="")


@pytest.mark.parametrize(
    ("line", "kind"),
    [(APP, "app"), (COMMAND, "command"), (ADDRESS, "address"), (REGISTER, "register")],
)
def test_a_unit_has_a_kind(folder: Path, line: str, kind: str) -> None:
    assert kind == unit(folder, line).kind


def test_a_unit_without_a_kind_is_shown_all_of_them(folder: Path) -> None:
    expected = (
        "hsu.toml: units.x: what should it run? Write one of"
        ' app = "module:App", command = ["./program"],'
        ' address = "tcp:127.0.0.1:5000", register = true'
    )
    assert [expected] == unit_mistakes(folder)


def test_two_kinds_exclude_each_other(folder: Path) -> None:
    expected = "hsu.toml: units.x: 'app' and 'command' exclude each other; keep one"
    assert [expected] == unit_mistakes(folder, APP, COMMAND)


@pytest.mark.parametrize(
    ("kind", "line", "fits"),
    [
        (kind, line, fits)
        for kind in ("address", "register")
        for line, fits in [
            ('idle = "1s"', "'app' or 'command'"),
            ('grace = "1s"', "'app' or 'command'"),
            ('listen = "tcp"', "'app' or 'command'"),
            ("prewarm = 1", "'app' or 'command'"),
            ('warm = "1m"', "'app' or 'command'"),
            ("depends_on = []", "'app' or 'command'"),
            ('cwd = "sub"', "'app' or 'command'"),
            ('env = {A = "1"}', "'app' or 'command'"),
            ('pass_env = ["A"]', "'app' or 'command'"),
            ('env_file = "secrets"', "'app' or 'command'"),
            ('python = "./python"', "'app'"),
            ('launcher = "spawn"', "'app'"),
            ("preimport = true", "'app'"),
        ]
    ]
    + [
        ("command", 'python = "./python"', "'app'"),
        ("app", 'token_file = "secrets"', "'address'"),
        ("register", 'token_file = "secrets"', "'address'"),
    ],
)
def test_a_key_that_does_nothing_is_a_mistake(
    folder: Path, kind: str, line: str, fits: str
) -> None:
    kinds = {"app": APP, "command": COMMAND, "address": ADDRESS, "register": REGISTER}
    key = line.partition(" ")[0]
    expected = (
        f"hsu.toml: units.x.{key}: does nothing in a unit with {kind!r},"
        f" only in one with {fits}; remove it"
    )
    assert [expected] == unit_mistakes(folder, kinds[kind], line)


def test_what_is_spawned_imports_nothing_beforehand(folder: Path) -> None:
    expected = (
        'hsu.toml: units.x.preimport: does nothing with launcher = "spawn"; remove one of them'
    )
    assert [expected] == unit_mistakes(folder, APP, 'launcher = "spawn"', "preimport = true")
    assert unit(folder, APP, 'launcher = "spawn"', "preimport = false").launcher == "spawn"


@pytest.mark.parametrize("line", ["pinned = true", 'idle = "never"'])
def test_what_never_idles_is_never_warm(folder: Path, line: str) -> None:
    expected = f"hsu.toml: units.x.warm: does nothing with {line}; remove one of them"
    assert [expected] == unit_mistakes(folder, APP, line, 'warm = "10m"')


def depending(**units: tuple[str, ...]) -> str:
    """Units of an interface each, and what they depend on."""
    return "\n".join(
        f'[units.{name}]\n{APP}\nimplements = ["hsu.test.v1.{name.upper()}"]\n'
        f"depends_on = {toml(list(others))}"
        for name, others in units.items()
    )


def test_what_a_unit_depends_on(folder: Path) -> None:
    text = depending(a=("b", "c", "b"), b=("c",), c=())
    units = Config.from_text(text, folder=folder).units
    assert [("b", "c"), ("c",), ()] == [unit.depends_on for unit in units.values()]


def test_what_a_unit_can_not_depend_on(folder: Path) -> None:
    text = depending(
        a=("b", "indx", "nothing"), b=("c",), c=("a", "b"), d=("d",), e=("a",), index=()
    )
    itself = "it depends on itself"
    cure = "none could start first, so remove one step"
    assert [
        f"hsu.toml: units.a.depends_on: {itself}: a -> b -> c -> a; {cure}",
        "hsu.toml: units.a.depends_on: there is no unit 'indx'; did you mean 'index'?",
        "hsu.toml: units.a.depends_on: there is no unit 'nothing'; units: b, c, d, e, index",
        f"hsu.toml: units.b.depends_on: {itself}: b -> c -> b; {cure}",
        f"hsu.toml: units.d.depends_on: {itself}: d -> d; {cure}",
    ] == sorted(mistakes(folder, text))


def test_unknown_keys_are_named_with_the_nearest_one(folder: Path) -> None:
    text = f'[unit]\n[units.x]\n{APP}\n{IMPLEMENTS}\nidel = "1s"\n[master]\nzzz = 1'
    assert [
        "hsu.toml: unit: unknown key; did you mean 'units'?",
        "hsu.toml: units.x.idel: unknown key; did you mean 'idle'?",
        "hsu.toml: master.zzz: unknown key; known: runtime_dir, message_bytes, memory, min_residency, max_wait",
    ] == mistakes(folder, text)


@pytest.mark.parametrize("name", ["Big", '"a b"', "-a", "a" * 41, '""'])
def test_a_name_that_no_unit_can_have(folder: Path, name: str) -> None:
    shown = '"a b"' if name == '"a b"' else name
    assert [
        (
            f"hsu.toml: units.{shown}: not a name for a unit;"
            " use up to 40 of a-z, 0-9, _ and -, a letter or digit first"
        )
    ] == mistakes(folder, f"[units.{name}]\n{APP}\n{IMPLEMENTS}")


def test_tables_that_are_none(folder: Path) -> None:
    assert [
        "hsu.toml: units: expected a table: [units]",
        "hsu.toml: routes: expected a table: [routes]",
        "hsu.toml: master: expected a table: [master]",
    ] == mistakes(folder, "units = 1\nroutes = 2\nmaster = 3")
    assert ["hsu.toml: units.x: expected a table: [units.x]"] == mistakes(folder, "units.x = 1")


def test_what_is_not_toml_is_named_with_its_line(folder: Path) -> None:
    (message,) = mistakes(folder, "\n[units.x")
    assert message.startswith("hsu.toml: not TOML: ")
    assert "line 2" in message or "end of document" in message


def test_the_runtime_folder_is_relative_to_the_file(folder: Path) -> None:
    config = Config.from_text('[master]\nruntime_dir = "run"', folder=folder)
    assert MasterConfig(runtime_dir=folder / "run") == config.master
    assert MasterConfig(runtime_dir=None) == Config.from_text("", folder=folder).master
    assert ["hsu.toml: master.runtime_dir: expected a path, got 1"] == mistakes(
        folder, "[master]\nruntime_dir = 1"
    )


TWO = f"[units.a1]\n{APP}\n{IMPLEMENTS}\n[units.a2]\n{APP}\n{IMPLEMENTS}\n"


def test_two_units_for_an_interface_need_a_route(folder: Path) -> None:
    assert [
        (
            "hsu.toml: routes: hsu.a.v1.InterfaceA is implemented by a1 and a2;"
            " write to which one its calls go:"
        ),
        "[routes]",
        '"hsu.a.v1.InterfaceA" = "a1"  # or "a2"',
    ] == mistakes(folder, TWO)
    assert [
        (
            "hsu.toml: routes: hsu.a.v1.InterfaceA is implemented by a1 and a2;"
            " write to which one its calls go, under [routes]:"
        ),
        '"hsu.a.v1.InterfaceA" = "a1"  # or "a2"',
    ] == mistakes(folder, TWO + "[routes]")


def test_a_route_chooses_between_two_units(folder: Path) -> None:
    config = Config.from_text(f'{TWO}[routes]\n"hsu.a.v1.InterfaceA" = "a2"', folder=folder)
    assert {"hsu.a.v1.InterfaceA": "a2"} == config.routes


@pytest.mark.parametrize(
    ("route", "message"),
    [
        (
            '"hsu.a.v1.InterfaceA" = "a3"',
            "\"hsu.a.v1.InterfaceA\": there is no unit 'a3'; units: a1, a2 and b",
        ),
        (
            '"hsu.a.v1.InterfaceA" = "b"',
            "\"hsu.a.v1.InterfaceA\": unit 'b' does not implement it; units that do: a1 and a2",
        ),
        (
            '"hsu.a.v1.InterfaceA" = 1',
            '"hsu.a.v1.InterfaceA": expected the name of a unit, got 1',
        ),
        (
            '"hsu.a.v1.InterfaceA" = "a1"\n"x.Y" = "b"',
            "\"x.Y\": unit 'b' does not implement it; no unit does; remove the line",
        ),
    ],
)
def test_a_route_that_leads_nowhere(folder: Path, route: str, message: str) -> None:
    text = f'{TWO}[units.b]\n{COMMAND}\nimplements = ["hsu.b.v1.InterfaceB"]\n[routes]\n{route}'
    assert [f"hsu.toml: routes.{message}"] == mistakes(folder, text)


def test_a_file_is_read_with_its_folder(folder: Path) -> None:
    file = folder / "hsu.toml"
    file.write_text(f"[units.x]\n{APP}\n{IMPLEMENTS}")
    config = Config.from_file(file)
    assert folder == config.folder
    assert folder == config.units["x"].cwd
    assert {} == config.routes


def test_a_file_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("binary.toml").write_bytes(b"\xff")
    for name, reason in [
        ("hsu.toml", "No such file or directory"),
        ("sub", "Is a directory"),
        ("binary.toml", "not UTF-8"),
    ]:
        with pytest.raises(ConfigError) as caught:
            Config.from_file(name)
        assert f"{folder}/{name}: {reason}" == str(caught.value)


def test_the_mark_that_an_editor_puts_before_a_text_is_no_mistake(folder: Path) -> None:
    file = folder / "hsu.toml"
    file.write_text(f"[units.x]\n{APP}\n{IMPLEMENTS}", "utf-8-sig")
    assert ["x"] == list(Config.from_file(file).units)


def test_two_units_can_not_write_into_one_log_file(folder: Path) -> None:
    (folder / "link").symlink_to("logs")
    paths = {"a": "logs/x.log", "b": "other.log", "c": "link/../logs/./x.log", "d": "link/x.log"}
    units = (
        f'[units.{name}]\n{APP}\nimplements = ["m.{name.upper()}"]\nlog_file = "{path}"\n'
        for name, path in paths.items()
    )
    reason = "unit 'a' writes into it, too; each needs a file of its own"
    assert [f"hsu.toml: units.{name}.log_file: {reason}" for name in ("c", "d")] == mistakes(
        folder, "".join(units)
    )


@pytest.mark.parametrize("key", ["env_file", "token_file"])
def test_a_secret_that_others_can_open_is_refused(folder: Path, key: str) -> None:
    file = secret(folder / "open", "TOKEN=s3cret")
    file.chmod(0o640)
    kind = APP if key == "env_file" else ADDRESS
    expected = f"{file}: other users can open it; run: chmod 600 {file}"
    assert [f"hsu.toml: units.x.{key}: {expected}"] == unit_mistakes(
        folder, kind, f'{key} = "open"'
    )


def test_a_secret_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    expected = f"{folder}/secrets: belongs to another user; make a copy of your own"
    assert [f"hsu.toml: units.x.env_file: {expected}"] == unit_mistakes(
        folder, APP, 'env_file = "secrets"'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\ns3cret", "{}: line 2: expected NAME=VALUE"),
        ("export A=s3cret", "{}: line 1: expected NAME=VALUE"),
        ("HSU_TOKEN=s3cret", "the master sets HSU_TOKEN itself; remove it"),
    ],
)
def test_a_mistake_in_an_env_file_shows_nothing_of_it(
    folder: Path, text: str, message: str
) -> None:
    file = secret(folder / "env", text)
    expected = f"hsu.toml: units.x.env_file: {message.replace('{}', str(file))}"
    assert [expected] == unit_mistakes(folder, APP, 'env_file = "env"')


def test_a_token_is_read_without_its_line_end(folder: Path) -> None:
    assert "abc" == read_token(secret(folder / "token", "abc\n"))
    file = secret(folder / "empty", "\n")
    expected = f"{file}: empty; write the token into it"
    assert [f"hsu.toml: units.x.token_file: {expected}"] == unit_mistakes(
        folder, ADDRESS, 'token_file = "empty"'
    )


def test_no_value_of_the_environment_is_shown(folder: Path) -> None:
    secret(folder / "env", "B=s3cret")
    shown = repr(unit(folder, APP, 'env = {A = "s3cret"}', 'env_file = "env"'))
    assert "s3cret" not in shown


def test_a_child_gets_what_it_needs_and_what_is_named(folder: Path) -> None:
    secret(folder / "env", "# a comment\n\nB = ' file '\nC=\"file\"\nD=x=y\nE='\n")
    made = unit(
        folder, APP, 'pass_env = ["A", "B", "ABSENT"]', 'env_file = "env"', 'env = {C = "table"}'
    )
    always = dict.fromkeys(["PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "OTEL_X"], "y")
    environ = {**always, "A": "passed", "B": "passed", "AWS_SECRET": "s3cret"}
    assert {
        **always,
        "A": "passed",
        "B": " file ",
        "C": "table",
        "D": "x=y",
        "E": "'",
        "PYTHONUNBUFFERED": "1",
    } == child_environment(made, environ)


def test_an_env_file_is_read_at_each_start(folder: Path) -> None:
    made = unit(folder, APP, 'env_file = "secrets"')
    secret(folder / "secrets", "TOKEN=new")
    assert "new" == child_environment(made, {})["TOKEN"]


def test_the_table_of_keys_has_a_row_for_each() -> None:
    table = keys_table()
    for name in [*keys_of(UnitConfig), *keys_of(MasterConfig)]:
        assert f"\n| `{name}` | " in table
    assert (
        '| `idle` | duration | `"300s"` | Stop the process this long after the last call;'
        ' `"never"` keeps it. Only with `app` or `command`. |'
    ) in table
