"""What the kernel tells of a process, mostly in `/proc/<pid>/stat`, see proc_pid_stat(5); only on Linux."""

import os
from contextlib import suppress


def stat_fields(pid: int) -> list[str] | None:
    """The fields from the third one, the state, on; None where they can't be read."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The second field, the name, may hold spaces and brackets.
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def age(start: int) -> float:
    """Seconds since a process of this boot started, of which the kernel says so in ticks."""
    with open("/proc/uptime", encoding="ascii") as file:
        up = float(file.read().split()[0])
    return up - start / os.sysconf("SC_CLK_TCK")


def outputs_of(pid: int) -> set[str]:
    """What its stdout and stderr are, files by their paths; empty where nobody can know."""
    found = set()
    for descriptor in (1, 2):
        with suppress(OSError):
            found.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    return found


def own_memory(pid: int) -> int | None:
    """Bytes in memory that it shares with no file, see proc_pid_statm(5); None where nobody can know."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except OSError:
        return None
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def shared_memory(pid: int) -> int | None:
    """Bytes in memory, with its share of each page that several have; None where nobody can know.

    Where the kernel doesn't tell shares, see proc_pid_smaps(5), each page counts whole.
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return _resident_memory(pid)


def _resident_memory(pid: int) -> int | None:
    fields = stat_fields(pid)
    return None if fields is None else int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float | None:
    """User and system time that a process has used, in seconds; None where nobody can know."""
    fields = stat_fields(pid)
    if fields is None:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
