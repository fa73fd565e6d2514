"""The programs that `make build-example` has built, and where another one's source is."""

from pathlib import Path

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"

#: The HSU with interface A, and the main process that calls it.
WORKER = EXAMPLES / "go" / "bin" / "hsu_a_service"
MAIN = EXAMPLES / "go" / "bin" / "main"
#: The program that launches an HSU as its plugin.
PLUGIN_HOST = EXAMPLES / "go" / "bin" / "plugin_host"

#: One that does whatever the kit asks for.
WHOLE = Path(__file__).with_name("whole_worker.go")
