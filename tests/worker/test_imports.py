"""What a launched worker imports before it answers: each module is time at every start."""

import subprocess
import sys
from pathlib import Path

from tests.gen.hsu_test_kinds import Ask
from tests.master.running import running, text
from tests.worker.process import ROOT

#: What a worker on grpc alone has.
BARE = """
import asyncio, gc, importlib, signal, sys
import grpc.aio, grpc._utilities
from tests.gen import hsu_test_kinds_pb2
print(" ".join(sys.modules))
"""

#: Modules of the framework, and further ones beyond those of the bare worker. A module more is no mistake, but
#: one to think about: none is imported before a worker answers that it needs only later, or not at all.
OURS = 68
FURTHER = 20

LATER = (
    *("click", "opentelemetry", "grpc_health", "grpc_reflection", "protovalidate", "watchfiles"),
    *("difflib", "ipaddress", "json", "pathlib", "pkgutil", "shutil", "tempfile", "termios"),
    *("hsu_worker.cli", "hsu_worker.codegen", "hsu_worker.master", "hsu_worker.testing"),
    *("hsu_worker.worker.options", "hsu_worker.worker.serve", "hsu_worker.worker.plugin"),
)

TELLS = """
import sys
from hsu_worker import implements
from tests.gen.hsu_test_kinds import Answer, Kinds

@implements(Kinds)
class Service:
    async def unary(self, request):
        return Answer(text=" ".join(sys.modules))
    async def client_stream(self, requests):
        return Answer()
    async def server_stream(self, request):
        yield Answer()
    async def bidi(self, requests):
        yield Answer()
"""


def bare() -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", BARE], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return set(ran.stdout.split())


async def test_a_worker_imports_what_it_needs_and_little_else(tmp_path: Path) -> None:
    (tmp_path / "tells.py").write_text(TELLS)
    lines = text('app = "tells:Service"', 'launcher = "spawn"')
    async with running(tmp_path, lines) as it:
        imported = set((await it.kinds.unary(Ask(), timeout=30)).text.split())
    extra = imported - bare()
    ours = {name for name in extra if name.partition(".")[0] == "hsu_worker"}
    further = {name for name in extra - ours if not name.startswith(("tests", "tells"))}
    assert [] == sorted(
        n for n in extra if n in LATER or n.startswith(tuple(f"{m}." for m in LATER))
    )
    assert len(ours) <= OURS, sorted(ours)
    assert len(further) <= FURTHER, sorted(further)


LOOKS = """
import gc
from hsu_worker import implements
from tests.gen.hsu_test_kinds import Answer
from tells import Service

class Looks(Service):
    async def unary(self, request):
        return Answer(text=f"{gc.isenabled()} {gc.get_freeze_count()}")
"""


async def test_what_it_has_imported_is_never_looked_through_for_garbage(tmp_path: Path) -> None:
    (tmp_path / "tells.py").write_text(TELLS)
    (tmp_path / "looks.py").write_text(LOOKS)
    lines = text('app = "looks:Looks"', 'launcher = "spawn"')
    async with running(tmp_path, lines) as it:
        told = (await it.kinds.unary(Ask(), timeout=30)).text
    enabled, frozen = told.split()
    assert "True" == enabled
    # Some 30,000 objects of grpc's and ours.
    assert 10_000 < int(frozen)
