"""The programs that `make -C examples/rust build` has built."""

from pathlib import Path

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"

#: The HSU with interfaces A and B.
WORKER = EXAMPLES / "rust" / "bin" / "hsu_abc_service"
