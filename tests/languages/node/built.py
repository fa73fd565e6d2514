"""The programs that `make -C examples/node build` has built."""

from pathlib import Path

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"

#: The HSU with interface A, and the client that calls it.
WORKER = ("node", str(EXAMPLES / "node" / "dist" / "worker" / "main.js"))
CLIENT = ("node", str(EXAMPLES / "node" / "dist" / "client" / "main.js"))
#: One that does whatever the kit asks for.
WHOLE = ("node", str(Path(__file__).with_name("whole_worker.mjs")))
