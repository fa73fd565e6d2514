"""What the costs are made of: `python -m bench.profile`; `--quick` only shows that it works.

Each figure is the least of many rounds: what a busy machine adds is no cost of ours.
"""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter, thread_time
from types import CoroutineType
from typing import Any, Final, cast
from unittest.mock import patch

import grpc

from bench import control
from bench.bare import bares, unary
from bench.masters import absent, answer, check_made, launchers, master, unit, warm
from bench.measure import ROOT
from bench.processes import keeper, spare
from bench.rows.dispatch import METADATA, TOKEN, _Context, _Details
from bench.rows.logs import _Nowhere
from bench.service import Echo
from bench.workers import worker
from hsu_worker.interface import Method
from hsu_worker.master.spawned import Spawned
from hsu_worker.serving.calls import ServedCall
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.serving.logring import LogRing, RingHandler
from hsu_worker.wire.limits import Limits
from hsu_worker.wire.metadata import presents
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.until import until

IMPORTS: Final = {
    "bare": "import bench.control",
    "spawned": "import hsu_worker.worker.launched, bench.service",
}


def show(what: str, figures: dict[str, float], unit: str) -> None:
    """A line for each figure."""
    print(f"\n{what}, {unit}")
    for name, value in figures.items():
        print(f"  {name:44}{value:8.2f}")


def keep_least(least: dict[str, float], figures: dict[str, float]) -> None:
    """Take each figure that is less than it ever was."""
    for name, value in figures.items():
        least[name] = min(value, least.get(name, value))


def cpu_ms(pid: int) -> float:
    """What the threads of a process have used, by the scheduler's own clock."""
    used = 0
    for each in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        # A thread may end meanwhile.
        with suppress(OSError):
            used += int(each.read_text().split()[0])
    return used / 1e6


async def starts(rounds: int) -> None:
    """Processor time from the call to its answer, by process."""
    found: dict[str, dict[str, float]] = {"bare": {}, "spawned": {}, "forked": {}}
    async with bares() as made, master(unit("spawned", 'launcher = "spawn"'), unit("forked")) as it:
        await warm(it, "spawned", "forked")
        for _ in range(rounds):
            bare = await made.spawn()
            keep_least(found["bare"], {"worker": cpu_ms(bare.pid)})
            await bare.stop()
            for name in ("spawned", "forked"):
                await spare(it)
                own, others = keeper(it)
                before = {pid: cpu_ms(pid) for pid in (os.getpid(), own, *others)}
                await answer(it, name)
                pid = it.status()[name].pid
                assert pid is not None
                roles = {"worker": pid, "master": os.getpid(), "keeper": own}
                used = {role: cpu_ms(p) - before.get(p, 0) for role, p in roles.items()}
                if name == "forked":
                    rest = [(p, cpu_ms(p)) for p in others if p != pid]
                    used["template"] = sum(now - before[p] for p, now in rest if now)
                check_made(it, name, forked=name == "forked")
                keep_least(found[name], used)
                await it.stop(name)
    for name, figures in found.items():
        show(f"a start, {name}: processor time", figures, "ms")


def imports(rounds: int) -> None:
    """Processor time until everything is imported, with bytecode."""
    for name, code in IMPORTS.items():
        least: dict[str, float] = {}
        code += "; import sys, time; print(time.process_time() * 1e3, len(sys.modules))"
        for _ in range(rounds):
            printed = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT)
            time, modules = map(float, printed.split())
            keep_least(least, {"processor time, ms": time, "modules": modules})
        show(f"imports, {name}", least, "least")


async def prewarmed(rounds: int) -> None:
    """Where the time of a prewarmed start goes."""
    least: dict[str, float] = {}
    marks: list[float] = []
    start = Spawned.run_lifespans

    async def noting(*args: Any) -> None:
        marks.append(perf_counter())
        await start(*args)
        marks.append(perf_counter())

    lines = ("prewarm = 1", 'idle = "50ms"')
    with patch.object(Spawned, "run_lifespans", noting):
        async with master(unit("u", *lines)) as it:
            for _ in range(rounds):
                await until(lambda: launchers(it)._standbys["u"]._ready)
                marks.clear()
                began = perf_counter()
                await answer(it, "u")
                answered = perf_counter()
                await answer(it, "u")
                at = (began, *marks, answered, perf_counter())
                names = ("before Core.Start", "Core.Start", "the call", "a second call")
                steps = {name: (at[i + 1] - at[i]) * 1e3 for i, name in enumerate(names)}
                keep_least(least, steps)
                await absent(it, "u")
    show("a prewarmed start", least, "ms")


async def faults(rounds: int) -> None:
    """Pages that the kernel gives a worker for each call of 100 KB, with a heap as glibc has it."""
    async with bares() as made, worker() as connection:
        bare = await made.spawn()
        status = [Path(f"/proc/{pid}/stat") for pid in _children()]
        for file in status:
            ours = file.parent.name != str(bare.pid)
            channel = connection.channel if ours else bare.channel
            call, before = unary(channel), _minor_faults(file)
            for _ in range(rounds * 10):
                await call(Ask(payload=bytes(100_000)), metadata=connection.metadata)
            each = (_minor_faults(file) - before) / (rounds * 10)
            show(f"a call of 100 KB, {'ours' if ours else 'bare'}", {"page faults": each}, "each")
        await bare.stop()


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def _minor_faults(stat: Path) -> int:
    return int(stat.read_text().rpartition(")")[2].split()[7])


async def timed(rounds: int, parts: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Microseconds of each part."""
    least: dict[str, float] = {}
    for _ in range(rounds):
        for name, part in parts.items():
            began = thread_time()
            for _ in range(1000):
                if isinstance(made := part(), CoroutineType):
                    await made
            keep_least(least, {name: (thread_time() - began) * 1e3})
    return least


async def call(rounds: int) -> None:
    """What is done for a unary call, without grpc."""
    dispatcher = Dispatcher(token=TOKEN, limits=Limits())
    dispatcher.add(Kinds, Echo())
    details = cast("grpc.HandlerCallDetails", _Details())
    body, task = Ask(text="x").SerializeToString(), asyncio.current_task()
    method: Method = Kinds.methods["unary"]

    async def ours() -> None:
        await cast("Any", dispatcher.service(details)).unary_unary(body, _Context())

    handlers = control.handler()

    async def bare() -> None:
        handler: Any = handlers.service(details)
        handler.response_serializer(await handler.unary_unary(Ask.FromString(body), _Context()))

    def counted() -> None:
        assert task is not None
        each = ServedCall(Kinds, method, METADATA, "unix:", 5.0, task)
        dispatcher.calls.begin(each)
        dispatcher.calls.end(each)

    def object_only() -> None:
        assert task is not None
        ServedCall(Kinds, method, METADATA, "unix:", 5.0, task)

    async def slot() -> None:
        await dispatcher.slots.concurrent.acquire()
        dispatcher.slots.concurrent.release()

    async def nothing() -> None: ...

    found = await timed(
        rounds,
        {
            "all of ours": ours,
            "all of a bare handler": bare,
            "the token": lambda: presents(METADATA, TOKEN),
            "the call's object": object_only,
            "the object, counted": counted,
            "the slot": slot,
            "(an empty coroutine, within the slot)": nothing,
        },
    )
    dispatcher.slots.close()
    show("a unary call", found, "µs")


async def record(rounds: int) -> None:
    """What is done for a log record."""
    ring, logger = LogRing(), logging.getLogger("profile")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    made = logger.makeRecord(
        "profile", 20, "", 1, "record %d of many, as most of them are", (1,), None
    )
    text = made.getMessage()

    def log(handler: logging.Handler) -> Callable[[], None]:
        def each() -> None:
            logger.handlers = [handler]
            logger.info("record %d of many, as most of them are", 1)

        return each

    found = await timed(
        rounds,
        {
            "a logging call, to nowhere": log(_Nowhere()),
            "a logging call, into the ring": log(RingHandler(ring)),
            "its text": lambda: made.getMessage(),
            "into the ring": lambda: ring.append(20, "profile", text, at=made.created),
        },
    )
    show("a log record", found, "µs")


async def main(rounds: int) -> None:
    """All of it."""
    await call(rounds * 2)
    await record(rounds * 2)
    imports(rounds)
    await prewarmed(rounds)
    await starts(rounds)
    await faults(rounds)


if __name__ == "__main__":
    asyncio.run(main(2 if "--quick" in sys.argv else 20))
