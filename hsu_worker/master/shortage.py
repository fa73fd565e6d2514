"""Whether the start of a worker has failed because memory ran out."""

import re
from typing import Final

from hsu_worker.errors import StartError
from hsu_worker.master.launcher import Worker

#: What programs say of it: Python, PyTorch, gRPC and those who copy its codes, C++, the C library.
_SAID: Final = re.compile(
    r"\b(MemoryError|OutOfMemoryError|RESOURCE_EXHAUSTED|std::bad_alloc|Cannot allocate memory)\b"
)


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since it was started.

    In a container it may be one of another: then a start is tried once more for nothing.
    """
    try:
        with open("/proc/vmstat", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
    except (OSError, StopIteration):
        return 0


def ran_short(worker: Worker, error: StartError, kills_before: int) -> bool:
    """The worker, or its last output, says so; or it was killed while the kernel killed for memory."""
    return bool(_SAID.search(error.message)) or (worker.killed and oom_kills() > kills_before)
