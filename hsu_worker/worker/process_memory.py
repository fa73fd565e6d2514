"""How much memory this process takes."""

import resource
import sys
from pathlib import Path


def resident_bytes() -> int:
    """What is in memory of it, in bytes; on macOS the most that ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except FileNotFoundError:
        # macOS tells only the peak without a library of its own, and in bytes.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * resource.getpagesize()
