"""What a template says, and what its forks are, as a keeper sees them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsu_worker.master.keeper.processes import LINUX
from tests.worker.templates import (
    adopting_orphans,
    exit_code,
    output,
    template,
    write_module,
)

pytestmark = pytest.mark.skipif(not LINUX, reason="forks are used on Linux only")

#: A fork without the variables of a launch gets as far as that it needs them.
NO_LAUNCH = (
    "HSU_INSTANCE is not set: only a master launches workers this way; "
    "write hsu-worker serve <module>:<attribute>\n"
)


@pytest.fixture(autouse=True)
def subreaper() -> Iterator[None]:
    with adopting_orphans():
        yield


def test_a_fork_is_the_keepers_child_and_has_a_session_of_its_own(tmp_path: Path) -> None:
    with template(tmp_path) as one:
        assert {"ready": one.process.pid} == one.answer()
        reading = one.ask()
        answer = one.answer()

        assert {"forked": 1, "pid": answer["pid"]} == answer
        assert NO_LAUNCH == output(reading)
        assert 3 == exit_code(answer["pid"])


def test_one_forks_again_and_again(tmp_path: Path) -> None:
    with template(tmp_path) as one:
        one.answer()
        readings = [one.ask(number=number) for number in range(1, 11)]
        answers = [one.answer() for _ in readings]

        assert [*range(1, 11)] == [answer["forked"] for answer in answers]
        assert 10 == len({answer["pid"] for answer in answers})
        assert {NO_LAUNCH} == {output(reading) for reading in readings}
        assert {3} == {exit_code(answer["pid"]) for answer in answers}
        assert one.process.poll() is None


def test_one_leaves_with_the_socket(tmp_path: Path) -> None:
    with template(tmp_path) as one:
        one.answer()
        one.close()

        assert 0 == one.process.wait(20)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (
            "import threading\nthreading.Thread(target=threading.Event().wait, name='beat', daemon=True).start()",
            "importing it starts threads (beat), and no thread survives a fork",
        ),
        (
            "import grpc\nchannel = grpc.insecure_channel('unix:/none')",
            "importing it starts threads (of native code), and no thread survives a fork",
        ),
        (
            "raise ValueError('no luck')",
            "mysvc:Service can't be imported beforehand: ValueError: no luck",
        ),
        (
            "raise SystemExit(4)",
            "mysvc:Service can't be imported beforehand: SystemExit: 4",
        ),
        (
            "import nothing_of_this_name",
            (
                "mysvc:Service can't be imported beforehand: ModuleNotFoundError: "
                "No module named 'nothing_of_this_name'"
            ),
        ),
    ],
)
def test_what_can_not_be_forked_is_told_and_the_template_leaves(
    tmp_path: Path, code: str, why: str
) -> None:
    with template(tmp_path, write_module(tmp_path, code)) as one:
        answer = one.answer()

        assert ["unsafe"] == [*answer]
        assert why == answer["unsafe"]
        assert one.answer() is None
        assert 0 == one.process.wait(20)


def test_one_that_imported_a_file_that_is_another_now_is_stale(tmp_path: Path) -> None:
    with template(tmp_path, write_module(tmp_path, "")) as one:
        one.answer()
        write_module(tmp_path, "# changed")
        os.utime(tmp_path / "mysvc.py", (1, 1))
        one.ask(number=7)

        assert {"stale": 7} == one.answer()
        assert one.answer() is None


def test_one_that_has_grown_is_stale(tmp_path: Path) -> None:
    with template(tmp_path, before="template.GROWTH = 0.5") as one:
        one.answer()
        one.ask(number=7)

        assert {"stale": 7} == one.answer()
        assert one.answer() is None


@pytest.mark.parametrize("which", [1, 2])
def test_a_fork_that_fails_is_told_and_the_template_lives_on(tmp_path: Path, which: int) -> None:
    # RLIMIT_NPROC doesn't bind root, as whom tests may run: a fork fails by hand.
    before = f"""
import errno, os
real, left = os.fork, [{which}]
def fork():
    left[0] -= 1
    if left[0] == 0:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return real()
os.fork = fork
"""
    with template(tmp_path, before=before) as one:
        one.answer()
        os.close(one.ask(number=5))

        assert {"failed": 5, "why": "Resource temporarily unavailable"} == one.answer()
        if which == 1:
            reading = one.ask(number=6)
            answer = one.answer()
            assert 6 == answer["forked"]
            assert NO_LAUNCH == output(reading)
            exit_code(answer["pid"])


STATE = """
import os, random, sys
print('imported by', os.getpid())
os.environ['ADDED'] = 'by the app'
os.environ['CHANGED'] = 'by the app'
os.environ.pop('REMOVED')
os.umask(0o27)
os.chdir('below')
sys.path.insert(0, 'first')
"""

SHOW = """
import os, sys
def show():
    umask = os.umask(0)
    print(*(os.environ.get(name) for name in ('ADDED', 'CHANGED', 'REMOVED', 'GIVEN')), sep=', ')
    print(f'{umask:o}', os.path.basename(os.getcwd()), os.path.basename(sys.path[0]))
    print(os.getsid(0) == os.getpid(), sorted(map(int, os.listdir('/proc/self/fd')))[:-1])
    sys.stdout.flush()
    return 5
template.be_a_worker = show
"""


def test_what_an_app_has_changed_stays_changed_in_its_forks(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    target = write_module(tmp_path, STATE)
    variables = {"CHANGED": "no", "REMOVED": "no"}
    with template(tmp_path, target, before=SHOW, **variables) as one:
        one.answer()
        reading = one.ask(env=variables | {"GIVEN": "by the launch"})
        pid = one.answer()["pid"]

        assert [
            "by the app, by the app, None, by the launch",
            "27 below first",
            "True [0, 1, 2]",
        ] == output(reading).splitlines()
        assert 5 == exit_code(pid)


def test_one_of_all_apps_takes_on_the_folder_of_each(tmp_path: Path) -> None:
    with template(Path("/"), before=SHOW) as one:
        one.answer()
        reading = one.ask(cwd=tmp_path)
        pid = one.answer()["pid"]

        assert [tmp_path.name] * 2 == output(reading).splitlines()[1].split()[1:]
        assert 5 == exit_code(pid)


def test_what_others_see_of_a_fork_is_its_own(tmp_path: Path) -> None:
    before = """
def show():
    for name in ('cmdline', 'environ'):
        print(open(f'/proc/self/{name}').read().encode(), flush=True)
template.be_a_worker = show
"""
    with template(tmp_path, before=before) as one:
        one.answer()
        reading = one.ask(env={"HSU_TOKEN": "s3cret"}, number=12)
        exit_code(one.answer()["pid"])

        command, variables = output(reading).splitlines()
        assert command.startswith(r"b'python\x00-m\x00hsu_worker.worker\x00mysvc:Service\x00")
        assert r"HSU_KEEPER_ID=abc/12///" in variables
        assert "s3cret" not in variables


def test_numbers_at_random_are_others_in_each_fork(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text(
        "import os\nclass random:\n    seed = lambda: print('seeded in', os.getpid())\n"
    )
    before = """
import random
def show():
    print(random.random(), flush=True)
template.be_a_worker = show
"""
    target = write_module(tmp_path, "import numpy, random\nrandom.seed(1)")
    with template(tmp_path, target, before=before) as one:
        one.answer()
        shown = []
        for number in (1, 2):
            reading = one.ask(number=number)
            pid = one.answer()["pid"]
            exit_code(pid)
            seeded, drawn = output(reading).splitlines()
            assert f"seeded in {pid}" == seeded
            shown.append(drawn)

        assert shown[0] != shown[1]
