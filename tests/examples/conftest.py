"""The examples are projects of their own, so each has its folder on the path."""

import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"

sys.path[:0] = [str(EXAMPLES / name) for name in ("hsu_a_service1", "hsu_b_service1", "main")]
