"""The programs that `make build-example` has built."""

from pathlib import Path

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"

#: The HSU with interface A, and the main process.
WORKER = EXAMPLES / "go" / "bin" / "hsu_a_service"
MAIN = EXAMPLES / "go" / "bin" / "main"
