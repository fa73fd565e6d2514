"""Whether a process may have no more threads: to its limit of processes, each thread is one."""

import os
from typing import Final

#: What is wrong, and the cure.
NO_MORE_TASKS: Final = (
    "no more processes are allowed: raise the limit (`ulimit -u`, or the cgroup's `pids.max`)"
)

#: What Python says then, as it ends; grpc says nothing, and tries for ever.
NO_THREAD: Final = "can't start new thread"


def is_at_task_limit(pid: int) -> bool:
    """Whether its user has as many tasks as it allows; False where nobody can know."""
    try:
        with open(f"/proc/{pid}/limits", encoding="ascii") as file:
            most = next(line.split()[2] for line in file if line.startswith("Max processes"))
        user, _ = _tasks(pid)
        # It doesn't bind root.
        if user == "0" or most == "unlimited":
            return False
        return _of_user(user) >= int(most)
    except (OSError, StopIteration):
        return False


def _of_user(user: str) -> int:
    total = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                owner, threads = _tasks(int(name))
            except OSError:
                continue  # it has just ended
            total += threads if owner == user else 0
    return total


def _tasks(pid: int) -> tuple[str, int]:
    """The real user of a process, and the number of its threads, see proc_pid_status(5)."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    return fields["Uid"].split()[0], int(fields["Threads"])
