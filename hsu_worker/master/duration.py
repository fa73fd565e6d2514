"""Durations of `hsu.toml`: `"500ms"`, `"60s"`, `"2m"`, `"1h"`, and `"never"` where it makes sense."""

import math
import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")

#: The duration `"never"`.
NEVER = math.inf


def parse_duration(text: str) -> float | None:
    """The seconds of `"60s"`; None if it is no duration.

    parse_duration("1.5m")     # 90.0
    parse_duration("never")    # NEVER
    parse_duration("60")       # None: the unit is missing
    """
    if text == "never":
        return NEVER
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    return float(match[1]) * _SECONDS[match[2]]
