"""How much memory this process takes."""

import os
import sys


def resident_bytes() -> int:
    """What is in memory of it, in bytes; on macOS the most that ever was."""
    try:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
    except FileNotFoundError:
        import resource

        # macOS tells only the peak without a library of its own, and in bytes.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * os.sysconf("SC_PAGESIZE")
