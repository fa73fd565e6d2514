"""Forks that are made ahead of need: who takes them, and when they end."""

import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from hsu_worker.master.keeper.processes import LINUX
from tests.worker import templates
from tests.worker.templates import (
    Template,
    adopting_orphans,
    exit_code,
    output,
    planted,
    spares,
    template,
    wait_until,
    write_module,
)

pytestmark = pytest.mark.skipif(not LINUX, reason="forks are used on Linux only")

NO_LIMITS: Final = {"rlimits": [], "nice": 0, "cpus": ()}

#: What a fork becomes lives on.
STAYS: Final = """
import signal
template.be_a_worker = signal.pause
"""

#: Notes that the spare was handed a request, whose answer may take its time.
NOTES: Final = """
from pathlib import Path
from types import SimpleNamespace
from hsu_worker.worker import spare
def select(*waiting, select=spare.select.select):
    if waiting[-1] == spare.ANSWER:
        Path('asked').touch()
    return select(*waiting)
spare.ANSWER = 60
spare.select = SimpleNamespace(select=select)
"""


@pytest.fixture(autouse=True)
def subreaper() -> Iterator[None]:
    with adopting_orphans():
        yield


@pytest.fixture
def before() -> str:
    """No bug is planted."""
    return ""


@contextmanager
def ready(folder: Path, target: str = "", *, before: str = STAYS) -> Iterator[tuple[Template, int]]:
    """A template that has a spare, and this one's pid."""
    with template(folder, target, before=before) as one:
        one.answer()
        yield one, one.spare()


def ended(pid: int) -> None:
    """End what a request was for, once it has become that."""
    wait_until(lambda: pid not in spares())
    killed(pid)


def killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert -signal.SIGKILL == exit_code(pid)


def test_a_start_takes_the_spare_and_the_next_one_another(tmp_path: Path, before: str) -> None:
    with ready(tmp_path, before=before + STAYS) as (one, first):
        for number in (1, 2):
            spare = one.spare()
            os.close(one.ask(number=number))

            assert {"forked": number, "pid": spare} == one.answer()
            assert spare == os.getsid(spare)
            ended(spare)
        assert first != spare


def test_a_start_with_limits_is_forked_and_the_spare_stays(tmp_path: Path, before: str) -> None:
    with ready(tmp_path, before=before + STAYS) as (one, spare):
        os.close(one.ask(limits=NO_LIMITS))
        pid = one.answer()["pid"]

        assert spare != pid
        assert [spare] == spares()
        ended(pid)


@pytest.mark.parametrize("end", ["the template", "the keeper"])
def test_a_spare_ends_with_those_who_could_ask_it(tmp_path: Path, end: str, before: str) -> None:
    with ready(tmp_path, before=before + STAYS) as (one, spare):
        # One that holds whatever it has not let go of.
        os.close(one.ask(limits=NO_LIMITS))
        pid = one.answer()["pid"]
        if end == "the template":
            one.process.kill()
        else:
            one.close()

        try:
            assert 0 == exit_code(spare)
        finally:
            ended(pid)


def test_a_spare_of_old_code_is_not_used(tmp_path: Path) -> None:
    with ready(tmp_path, write_module(tmp_path, "")) as (one, spare):
        os.utime(tmp_path / "mysvc.py", (1, 1))
        os.close(one.ask(number=7))

        assert {"stale": 7} == one.answer()
        assert 0 == exit_code(spare)


def test_a_spare_that_has_ended_is_missed_by_no_start(tmp_path: Path, before: str) -> None:
    with ready(tmp_path, before=before + STAYS) as (one, spare):
        killed(spare)
        os.close(one.ask(number=1))
        answer = one.answer()

        assert {"forked": 1, "pid": answer["pid"]} == answer
        ended(answer["pid"])
        os.close(one.ask(number=2))
        ended(one.answer()["pid"])
        assert spare != one.spare()


def test_one_that_ends_before_it_is_asked_is_missed_by_no_start(
    tmp_path: Path, before: str
) -> None:
    holds = """
import time
from pathlib import Path
from hsu_worker.worker import spare
def take(*request, take=spare.Spares.take):
    Path('asking').touch()
    while not Path('go').exists():
        time.sleep(0.01)
    return take(*request)
spare.Spares.take = take
"""
    with template(tmp_path, before=before + STAYS + holds) as one:
        one.answer()
        spare = one.spare()
        os.close(one.ask())
        wait_until((tmp_path / "asking").exists)
        killed(spare)
        (tmp_path / "go").touch()
        answer = one.answer()

        assert {"forked": 1, "pid": answer["pid"]} == answer
        ended(answer["pid"])


def test_one_that_is_lost_in_between_is_left_to_the_keeper(tmp_path: Path, before: str) -> None:
    with template(tmp_path, before=before + STAYS + NOTES) as one:
        one.answer()
        spare = one.spare()
        os.kill(spare, signal.SIGSTOP)
        os.close(one.ask())
        wait_until((tmp_path / "asked").exists)
        killed(spare)

        assert {"lost": 1} == one.answer()
        os.close(one.ask(number=2))
        pid = one.answer()["pid"]
        assert spare != pid
        ended(pid)


def test_one_that_ends_when_it_has_answered_too_late_is_left_to_the_keeper(
    tmp_path: Path, before: str
) -> None:
    late = """
import time
from pathlib import Path
from types import SimpleNamespace
from hsu_worker.worker import spare
def select(*waiting, select=spare.select.select):
    if waiting[-1] == spare.ANSWER:
        Path('asked').touch()
        while not Path('reaped').exists():
            time.sleep(0.01)
        return [], [], []
    return select(*waiting)
spare.select = SimpleNamespace(select=select)
"""
    with ready(tmp_path, before=before + STAYS + late) as (one, spare):
        os.kill(spare, signal.SIGSTOP)
        os.close(one.ask())
        wait_until((tmp_path / "asked").exists)
        killed(spare)
        (tmp_path / "reaped").touch()

        assert {"lost": 1} == one.answer()


def test_one_that_is_stopped_holds_up_no_start(tmp_path: Path, before: str) -> None:
    with ready(tmp_path, before=before + STAYS) as (one, spare):
        os.kill(spare, signal.SIGSTOP)
        os.close(one.ask())

        assert {"lost": 1} == one.answer()
        assert -signal.SIGKILL == exit_code(spare)


@pytest.mark.parametrize(
    "module",
    ["socket.setdefaulttimeout(1e-6)", "grpc.aio.server = grpc.aio.insecure_channel = None"],
)
def test_what_a_module_sets_disturbs_no_spare(tmp_path: Path, before: str, module: str) -> None:
    target = write_module(tmp_path, f"import socket\nimport grpc.aio\n{module}")
    with ready(tmp_path, target, before=before + STAYS) as (one, spare):
        # It waits, however long it takes.
        for _ in range(3):
            os.close(one.ask(limits=NO_LIMITS))
            ended(one.answer()["pid"])
        os.close(one.ask())

        assert {"forked": 1, "pid": spare} == one.answer()
        ended(spare)


def test_no_proxy_is_asked_for_a_rehearsal(tmp_path: Path, before: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        code = f"import os\nos.environ['http_proxy'] = 'http://127.0.0.1:{proxy.getsockname()[1]}'"
        with (
            ready(tmp_path, write_module(tmp_path, code), before=before + STAYS),
            pytest.raises(BlockingIOError),
        ):
            proxy.accept()


def test_a_rehearsal_that_hangs_is_ended(tmp_path: Path, before: str) -> None:
    hangs = """
from pathlib import Path
from hsu_worker.worker import rehearsal, spare
def rehearse():
    Path('hangs').write_text(str(os.getpid()))
    while True:
        pass
spare.REHEARSAL, spare.rehearse = 1, rehearse
"""
    with template(tmp_path, before=before + STAYS + "import os" + hangs) as one:
        one.answer()
        wait_until((tmp_path / "hangs").exists)
        wait_until(lambda: (tmp_path / "hangs").read_text())
        spare = int((tmp_path / "hangs").read_text())
        try:
            assert -signal.SIGALRM == exit_code(spare)
        except AssertionError:
            killed(spare)
            raise
        os.close(one.ask())
        ended(one.answer()["pid"])


#: Notes each rehearsal, which fails, and for how long its template then waits.
FAILS: Final = """
import os, resource
from pathlib import Path
from types import SimpleNamespace
from hsu_worker.worker import spare
_, hard = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
def rehearse():
    with Path('rehearsals').open('a') as file:
        print(os.getpid(), resource.getrlimit(resource.RLIMIT_CORE)[0], file=file)
    os.abort()
def select(*waiting, select=spare.select.select):
    Path('waits').write_text(repr(waiting[-1]))
    return select(*waiting)
spare.rehearse, spare.select = rehearse, SimpleNamespace(select=select)
"""


def rehearsal(folder: Path, number: int) -> list[str]:
    """The pid of the one that failed as the nth, and how large a core it would leave."""
    file = folder / "rehearsals"
    wait_until(lambda: file.exists() and file.read_text().count("\n") == number)
    return file.read_text().splitlines()[number - 1].split()


def test_a_rehearsal_that_fails_leaves_no_core_and_is_not_tried_again_at_once(
    tmp_path: Path, before: str
) -> None:
    with template(tmp_path, before=before + STAYS + FAILS) as one:
        one.answer()
        pid, core = rehearsal(tmp_path, 1)
        assert -signal.SIGABRT == exit_code(int(pid))
        assert "0" == core
        wait_until(lambda: (tmp_path / "waits").read_text() == "None")
        (tmp_path / "waits").unlink()
        os.close(one.ask())
        ended(one.answer()["pid"])

        wait_until(lambda: (tmp_path / "waits").exists() and (tmp_path / "waits").read_text())
        assert "None" == (tmp_path / "waits").read_text()


def test_a_rehearsal_that_failed_is_tried_again_after_a_while(tmp_path: Path) -> None:
    with template(tmp_path, before=STAYS + FAILS + "spare.AGAIN = 0") as one:
        one.answer()
        first, _ = rehearsal(tmp_path, 1)
        exit_code(int(first))
        os.close(one.ask())
        ended(one.answer()["pid"])

        second, _ = rehearsal(tmp_path, 2)
        exit_code(int(second))


def test_a_rehearsal_leaves_the_size_of_cores_as_it_was(tmp_path: Path, before: str) -> None:
    limits = "import resource\ntemplate.be_a_worker = lambda: print(resource.getrlimit(resource.RLIMIT_CORE)) or 5"
    raised = "\nresource.setrlimit(4, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)\n"
    with ready(tmp_path, before=before + limits + raised) as (one, _):
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        reading = one.ask()
        one.answer()

        assert f"{(hard, hard)}\n" == output(reading)


def test_one_that_was_asked_does_not_need_its_template(tmp_path: Path, before: str) -> None:
    with template(tmp_path, before=before + STAYS + NOTES) as one:
        one.answer()
        spare = one.spare()
        os.kill(spare, signal.SIGSTOP)
        os.close(one.ask())
        wait_until((tmp_path / "asked").exists)
        one.process.kill()
        one.process.wait(20)
        os.kill(spare, signal.SIGCONT)

        assert {"forked": 1, "pid": spare} == one.answer()
        assert one.answer() is None
        ended(spare)


def test_it_holds_nothing_that_was_between_it_and_its_template(tmp_path: Path, before: str) -> None:
    def held(pid: int) -> set[str]:
        lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
        keeping_messages_apart = {f"socket:[{line[6]}]" for line in lines if line[4] == "0005"}
        folder = Path(f"/proc/{pid}/fd")
        return {os.readlink(link) for link in folder.iterdir()} & keeping_messages_apart

    with template(tmp_path, before=before + STAYS) as one:
        one.answer()
        spare = one.spare()
        assert 1 == len(held(spare))
        os.close(one.ask())
        one.answer()

        try:
            wait_until(lambda: not held(spare))
        finally:
            ended(spare)


def test_it_carries_its_own_mark_before_it_is_told_of(tmp_path: Path, before: str) -> None:
    notes = """
from pathlib import Path
from hsu_worker.worker import spare
def tell(*to, tell=spare.tell, **answer):
    Path('told').write_bytes(Path('/proc/self/environ').read_bytes())
    tell(*to, **answer)
spare.tell = tell
"""
    with ready(tmp_path, before=before + STAYS + notes) as (one, spare):
        os.close(one.ask(number=12))
        one.answer()
        ended(spare)

        assert b"HSU_KEEPER_ID=abc/12///" in (tmp_path / "told").read_bytes()


def test_the_secrets_of_a_start_are_not_left_to_the_next_one(tmp_path: Path, before: str) -> None:
    looks = """
import sys
from pathlib import Path
from hsu_worker.worker import spare
def taken(template, taken=spare._taken):
    frame, found = sys._getframe().f_back, ''
    while frame is not None:
        found += repr(frame.f_locals)
        frame = frame.f_back
    Path(f'{os.getpid()}').write_text(found)
    return taken(template)
spare._taken = taken
"""
    with ready(tmp_path, before=before + STAYS + "import os" + looks) as (one, spare):
        os.close(one.ask(env={"TOKEN": "s3cret"}))
        one.answer()
        ended(spare)
        text = (tmp_path / f"{one.spare()}").read_text()

        assert "descriptors" in text
        assert "s3cret" not in text


def test_what_a_first_start_makes_is_there(tmp_path: Path, before: str) -> None:
    with ready(tmp_path, before=before + STAYS) as (_, spare):
        # Such as the threads of grpc.
        assert 1 < len(os.listdir(f"/proc/{spare}/task"))


#: What an app finds when it is imported, which is all that is told of its start here.
FINDS: Final = """
import asyncio, logging, sys, warnings
def find():
    warnings.simplefilter('ignore')
    try:
        print(type(asyncio.get_event_loop()))
    except RuntimeError as error:
        print(error)
    print(logging.root.handlers, logging.root.manager.disable, sys.argv, flush=True)
    return 5
template.be_a_worker = find
"""


def test_an_app_finds_no_trace_of_the_rehearsal(tmp_path: Path, before: str) -> None:
    with ready(tmp_path, before=before + FINDS) as (one, spare):
        found = []
        for limits in (NO_LIMITS, None):
            reading = one.ask(limits=limits)
            pid = one.answer()["pid"]
            found.append(output(reading))
            assert 5 == exit_code(pid)

        assert spare == pid
        assert found[0] == found[1] != ""


#: What a module does when it is imported, and in how many ways the threads of the worker then are bound.
BINDS: Final = """
import os
def bind():
    os.nice(1)
    threads = map(int, os.listdir('/proc/self/task'))
    print(len({os.getpriority(os.PRIO_PROCESS, each) for each in threads}), flush=True)
    return 5
template.be_a_worker = bind
"""


def test_what_binds_one_thread_leaves_those_of_a_spare_as_they_were(tmp_path: Path) -> None:
    """As docs/starts.md says."""
    with ready(tmp_path, before=BINDS) as (one, _):
        for limits, ways in ((NO_LIMITS, 1), (None, 2)):
            reading = one.ask(limits=limits)
            pid = one.answer()["pid"]
            assert f"{ways}\n" == output(reading)
            assert 5 == exit_code(pid)


def test_what_a_module_has_patched_beforehand_a_spare_runs_on(tmp_path: Path) -> None:
    """As docs/starts.md says."""
    patches = """
import asyncio
def new_event_loop(new=asyncio.new_event_loop):
    open('patched', 'w').close()
    return new()
asyncio.new_event_loop = new_event_loop
"""
    with ready(tmp_path, write_module(tmp_path, patches), before=STAYS):
        assert (tmp_path / "patched").exists()


def test_what_an_app_has_set_up_for_records_hears_nothing(tmp_path: Path, before: str) -> None:
    code = "import logging\nlogging.basicConfig(filename='log', level=1)"
    with ready(tmp_path, write_module(tmp_path, code), before=before + STAYS):
        assert "" == (tmp_path / "log").read_text()


#: The module, what it does, what it does instead, and who notices.
PLANTED: Final[list[tuple[str, str, str, Callable[[Path, str], object]]]] = [
    (
        "template",
        'request["limits"] is None and spares',
        "spares",
        lambda folder, bug: test_a_start_with_limits_is_forked_and_the_spare_stays(folder, bug),
    ),
    (
        "template",
        "            spares.close()\n",
        "            sys.kept = spares\n",
        lambda folder, bug: test_a_spare_ends_with_those_who_could_ask_it(
            folder, "the template", bug
        ),
    ),
    (
        "template",
        "        del data, request\n",
        "",
        lambda folder, bug: test_the_secrets_of_a_start_are_not_left_to_the_next_one(folder, bug),
    ),
    (
        "spare",
        "    if not data:\n        os._exit(0)\n",
        "    while not data:\n        select.select([], [], [])\n",
        lambda folder, bug: test_a_spare_ends_with_those_who_could_ask_it(
            folder, "the keeper", bug
        ),
    ),
    (
        "spare",
        "            self._keeper.close()\n",
        "",
        lambda folder, bug: test_it_holds_nothing_that_was_between_it_and_its_template(folder, bug),
    ),
    (
        "spare",
        "        except OSError:\n            return False\n        else:",
        "        except ZeroDivisionError:\n            return False\n        else:",
        lambda folder, bug: test_one_that_ends_before_it_is_asked_is_missed_by_no_start(
            folder, bug
        ),
    ),
    (
        "spare",
        "is_missed = self._socket is None or self._ready > 0",
        "is_missed = False",
        lambda folder, bug: test_a_start_takes_the_spare_and_the_next_one_another(folder, bug),
    ),
    (
        "spare",
        "                raise EOFError\n",
        "                return True\n",
        lambda folder, bug: test_one_that_is_lost_in_between_is_left_to_the_keeper(folder, bug),
    ),
    (
        "spare",
        "                    os.kill(self._ready, signal.SIGKILL)\n",
        "                    pass\n",
        lambda folder, bug: test_one_that_is_stopped_holds_up_no_start(folder, bug),
    ),
    (
        "spare",
        "suppress(ProcessLookupError)",
        "suppress(ZeroDivisionError)",
        lambda folder, bug: test_one_that_ends_when_it_has_answered_too_late_is_left_to_the_keeper(
            folder, bug
        ),
    ),
    (
        "spare",
        "is_missed and time.monotonic() >= self._not_before",
        "is_missed",
        lambda folder, bug: (
            test_a_rehearsal_that_fails_leaves_no_core_and_is_not_tried_again_at_once(folder, bug)
        ),
    ),
    (
        "spare",
        "    resource.setrlimit(resource.RLIMIT_CORE, (0, core[1]))\n",
        "",
        lambda folder, bug: (
            test_a_rehearsal_that_fails_leaves_no_core_and_is_not_tried_again_at_once(folder, bug)
        ),
    ),
    (
        "spare",
        "    resource.setrlimit(resource.RLIMIT_CORE, core)\n",
        "",
        lambda folder, bug: test_a_rehearsal_leaves_the_size_of_cores_as_it_was(folder, bug),
    ),
    (
        "spare",
        "            end.settimeout(None)\n",
        "            pass\n",
        lambda folder, bug: test_what_a_module_sets_disturbs_no_spare(
            folder, bug, "socket.setdefaulttimeout(1e-6)"
        ),
    ),
    (
        "spare",
        "    signal.alarm(seconds)\n",
        "",
        lambda folder, bug: test_a_rehearsal_that_hangs_is_ended(folder, bug),
    ),
    (
        "rehearsal",
        '(("grpc.enable_http_proxy", 0),)',
        "()",
        lambda folder, bug: test_no_proxy_is_asked_for_a_rehearsal(folder, bug),
    ),
    (
        "spare",
        "[*descriptors, self._keeper.fileno()]",
        "[*descriptors, self._socket.fileno()]",
        lambda folder, bug: test_one_that_was_asked_does_not_need_its_template(folder, bug),
    ),
    (
        "spare",
        '        show_variable(MARK, request["env"][MARK])\n',
        "",
        lambda folder, bug: test_it_carries_its_own_mark_before_it_is_told_of(folder, bug),
    ),
    (
        "spare",
        "    rehearse()\n",
        "",
        lambda folder, bug: test_what_a_first_start_makes_is_there(folder, bug),
    ),
    (
        "rehearsal",
        "            loop.close()\n",
        "            loop.close()\n            asyncio.set_event_loop(None)\n",
        lambda folder, bug: test_an_app_finds_no_trace_of_the_rehearsal(folder, bug),
    ),
    (
        "spare",
        "with suppress(OSError):",
        "with suppress(ZeroDivisionError):",
        lambda folder, bug: test_one_that_was_asked_does_not_need_its_template(folder, bug),
    ),
    (
        "rehearsal",
        "        logging.disable(before)\n",
        "        pass\n",
        lambda folder, bug: test_an_app_finds_no_trace_of_the_rehearsal(folder, bug),
    ),
    (
        "rehearsal",
        "    logging.disable()\n",
        "",
        lambda folder, bug: test_what_an_app_has_set_up_for_records_hears_nothing(folder, bug),
    ),
]


@pytest.mark.parametrize(("module", "sound", "broken", "noticed"), PLANTED)
def test_a_planted_bug_is_caught(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    sound: str,
    broken: str,
    noticed: Callable[[Path, str], object],
) -> None:
    monkeypatch.setattr(templates, "BOUND", 2.0)
    with pytest.raises((AssertionError, TimeoutError, TypeError, ValueError)):
        noticed(tmp_path, planted(module, sound, broken))
