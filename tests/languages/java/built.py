"""The program that `make -C examples/java build` has built."""

from pathlib import Path

#: The HSU with interface A.
WORKER = (
    "java",
    *("-XX:TieredStopAtLevel=1", "-jar"),
    str(Path(__file__).parents[3] / "examples" / "java" / "bin" / "hsu_a_service.jar"),
)
