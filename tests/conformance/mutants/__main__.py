"""Shows what the kit says of the mutants of one check."""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conformance.mutants import MUTANTS
from tests.conformance.stubs import compiled


async def _show(name: str) -> None:
    with TemporaryDirectory() as folder:
        stubs = compiled(Path(folder) / "stubs")
        for each in MUTANTS:
            if each.check == name:
                print(
                    f"- {each.sound}\n+ {each.broken}\n\n{await each.checked(Path(folder), stubs)}\n"
                )


asyncio.run(_show(sys.argv[1]))
