"""How many files this user may have open, and how many processes."""

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hsu_worker.doctor.finding import Finding, ok, warning

#: A master has some ten descriptors for each unit, and one for each caller that is connected.
_FILES: Final = 1024
#: A worker has a dozen threads, and each is a process to these limits.
_PROCESSES: Final = 512
#: What the container may have, where there is one.
PIDS_MAX: Final = Path("/sys/fs/cgroup/pids.max")


def limits(_folder: Path) -> Iterator[Finding]:
    """The limits of this shell, and so of what it starts."""
    wrong = list(_low())
    yield from wrong
    if not wrong:
        yield ok("limits", "enough files and processes are allowed")


def _low() -> Iterator[Finding]:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= files < _FILES:
        yield warning(
            "limits",
            f"only {files} files may be open: a master needs ten for each unit, one for each caller",
            f"ulimit -n {_FILES}; for a service of systemd: LimitNOFILE={_FILES}",
        )
    processes, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if 0 <= processes < _PROCESSES:
        yield warning(
            "limits",
            f"only {processes} processes are allowed, and each of the threads of a worker is one",
            f"ulimit -u {_PROCESSES}; for a service of systemd: LimitNPROC={_PROCESSES}",
        )
    try:
        allowed = int(PIDS_MAX.read_text())
    except (OSError, ValueError):
        return  # it is not limited
    if allowed < _PROCESSES:
        yield warning(
            "limits",
            f"the container may have only {allowed} processes, and each of the threads of a worker "
            "is one",
            f"start it with --pids-limit={_PROCESSES}, or as TasksMax={_PROCESSES}",
        )
