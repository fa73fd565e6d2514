"""A true limit of processes: to it each thread of a worker is one, and a worker has a dozen."""

import json
import os
import sys
from pathlib import Path

import pytest

from hsu_worker.errors import StartError
from hsu_worker.master.task_limit import NO_MORE_TASKS
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import running, text
from tests.worker.process import write_service

#: The limit doesn't bind root, so there the worker is another user's, who may read what is root's.
_CAPABILITIES = "+dac_override,+dac_read_search"
UNPRIVILEGED = (
    [
        "setpriv",
        "--reuid=12345",
        f"--inh-caps={_CAPABILITIES}",
        f"--ambient-caps={_CAPABILITIES}",
        f"--bounding-set=-all,{_CAPABILITIES}",
    ]
    if os.getuid() == 0
    else []
)

#: Less than any user has: whoever else belongs to this one changes nothing.
NONE_FREE = "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))"


def command(folder: Path, before: str) -> str:
    app = write_service(folder, before=before)
    # The present folder, where it is found, can be entered by root alone, which click would refuse.
    argv = [*UNPRIVILEGED, sys.executable, "-m", "hsu_worker", "serve", app, "--app-dir=/"]
    return f"command = {json.dumps(argv)}"


@pytest.mark.parametrize(
    ("before", "bound", "expected"),
    [
        (
            f"{NONE_FREE}; threading.Thread(target=print).start()",
            "",
            f"code 3; {NO_MORE_TASKS}; its last output:",
        ),
        (
            f"{NONE_FREE}; time.sleep(60)",
            'stall = "3s"',
            f"start timeout: no announce line for 3 s; {NO_MORE_TASKS}",
        ),
        (
            f"{NONE_FREE}; time.sleep(60)",
            'start_timeout = "3s"',
            f"start timeout: not ready 3 s after its launch; {NO_MORE_TASKS}",
        ),
    ],
)
async def test_a_worker_that_gets_no_threads_names_the_limit(
    tmp_path: Path, before: str, bound: str, expected: str
) -> None:
    async with running(tmp_path, text(command(tmp_path, before), bound)) as it:
        with pytest.raises(StartError) as caught:
            await it.kinds.unary(Ask(), timeout=60)
    assert expected in caught.value.message
