"""A master under attack: `python -m tests.master.chaos --seconds 600`, with a report at the end.

Callers call three units with everything that a caller does, some of them through the gateway, while
workers are killed, stopped, swapped and told to go, several at the same time, and the keeper is
killed. Then everything ends, and the books are checked: each call ended once, none ran twice, none
waited for a unit that nobody disturbed, and nothing is left.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hsu_worker.errors import Dispatch, RpcError, StartError
from hsu_worker.master import Config, Master
from hsu_worker.master.remote import RemoteMaster
from tests.gen.hsu_test_kinds import Ask, Kinds, KindsClient
from tests.until import until
from tests.worker.process import ROOT

#: Notes each call that it begins, so that one that ran twice shows.
SERVICE = """
import asyncio, os, time
from hsu_worker import implements
from tests.gen.hsu_test_kinds import Answer, Kinds

def note(text):
    with open("calls", "a") as file:
        file.write(text + "\\n")

@implements(Kinds)
class One:
    async def unary(self, request):
        note(request.text)
        await asyncio.sleep(request.number / 1000)
        return Answer(text=request.text)

    def client_stream(self, requests):
        texts = [request.text for request in requests]
        note(texts[0])
        return Answer(number=len(texts))

    async def server_stream(self, request):
        note(request.text)
        for number in range(request.number):
            await asyncio.sleep(0.001)
            yield Answer(number=number)

    async def bidi(self, requests):
        first = True
        async for request in requests:
            if first:
                note(request.text)
            first = False
            yield Answer(text=request.text)

@implements(Kinds)
class Two(One):
    pass
"""

UNITS = ("a", "b", "c")

#: Deeds that go on at the same time.
DEEDS = 5

#: Seconds after which a unit that nobody touches answers: a drain, a grace and a start, on a slow
#: machine; or the `stall` of one that was stopped before it announced itself, and a start. No call
#: has less time.
SETTLED = 5.0

#: Seconds that a call is given.
TIMEOUTS = [5.0, 20.0, 20.0]

#: Of all calls, how many have to be answered; most are refused at once by a unit that is held.
ANSWERED = 0.05

#: Seconds within which every call has ended, at the end.
LAST = 60.0


def config(folder: Path) -> Config:
    (folder / "chaotic.py").write_text(SERVICE)
    tables = [
        f"[units.{name}]\n"
        'app = "chaotic:One"\n'
        'implements = ["hsu.test.v1.Kinds"]\n'
        f'env = {{PYTHONPATH = "{ROOT}"}}\n'
        'ping = "200ms"\nping_timeout = "500ms"\ngrace = "1s"\ndrain = "2s"\nstall = "2s"\n'
        'breaker = 1000\nbackoff = "10ms"\nbackoff_most = "100ms"\n'
        + {"a": 'idle = "100ms"', "b": 'restart = "always"', "c": "concurrency = 4"}[name]
        for name in UNITS
    ]
    routes = '[routes]\n"hsu.test.v1.Kinds" = "a"'
    return Config.from_text("\n".join([*tables, routes]), folder=folder)


@dataclass
class Report:
    """What was done, and what came of it."""

    seed: int
    seconds: float
    actions: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """What must not be."""

    def as_json(self) -> str:
        return json.dumps(
            {
                "seed": self.seed,
                "seconds": self.seconds,
                "actions": dict(self.actions),
                "calls": self.calls,
                "outcomes": dict(self.outcomes),
                "wrong": self.wrong,
            },
            indent=1,
        )


class Chaos:
    """One run, from a seed. What happens when is the machine's; what is done is the seed's."""

    def __init__(self, folder: Path, seed: int, seconds: float) -> None:
        self.report = Report(seed, seconds)
        self._folder = folder
        self._random = random.Random(seed)
        self._done = asyncio.Event()
        self._answered: Counter[str] = Counter()
        self._held: set[str] = set()
        self._touched = dict.fromkeys(UNITS, 0.0)
        """When somebody last did something to a unit."""

    async def run(self) -> None:
        # grpc keeps a few descriptors once it has been used.
        async with Master(config(self._folder)) as master:
            await master.client(Kinds).unary(Ask(text="first"), timeout=20)
        before = _descriptors()
        async with Master(config(self._folder)) as master:
            assert master.address is not None
            async with Master.connect(str(master.address)) as remote:
                await self._attack(master, remote)
        # What only hangs in a cycle of references is no leak; and grpc closes a channel's socket a
        # moment after the channel.
        gc.collect()
        with suppress(TimeoutError):
            await until(lambda: not _more_than(before), within=10)
        self._check(before)

    async def _attack(self, master: Master, remote: RemoteMaster) -> None:
        callers = [
            asyncio.create_task(
                self._call_on(remote if number % 4 == 0 else master, number, random.Random(number))
            )
            for number in range(16)
        ]
        loop = asyncio.get_running_loop()
        end = loop.time() + self.report.seconds
        deeds: set[asyncio.Task[None]] = set()
        while loop.time() < end:
            deeds = {deed for deed in deeds if not deed.done()}
            if len(deeds) < DEEDS:
                deeds.add(asyncio.create_task(self._act(master)))
            await asyncio.sleep(self._random.expovariate(4))
        self._done.set()
        await asyncio.gather(*deeds)
        for name in self._held:
            await master.start(name)
        _, unended = await asyncio.wait(callers, timeout=LAST)
        for caller in unended:
            self.report.wrong.append(f"a call has not ended after {LAST:g} s")
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=bool(unended))
        for name, status in master.status().items():
            if status.leases or status.waiters:
                self.report.wrong.append(f"unit {name} is not at rest: {status}")

    async def _act(self, master: Master) -> None:
        name = self._random.choice(UNITS)
        action = self._random.choice(
            ["kill", "kill", "term", "freeze", "stop", "hold", "start", "restart", "swap", "keeper"]
        )
        self.report.actions[action] += 1
        self._touch(name)
        with suppress(RpcError):
            match action:
                case "kill":
                    self._signal(master, name, signal.SIGKILL)
                case "term":
                    self._signal(master, name, signal.SIGTERM)
                case "freeze":
                    self._signal(master, name, signal.SIGSTOP)
                case "stop":
                    await master.stop(name)
                case "hold":
                    self._held.add(name)
                    await master.stop(name, hold=True)
                case "start":
                    self._held.discard(name)
                    await master.start(name)
                case "restart":
                    self._held.discard(name)
                    await master.restart(name)
                case "swap":
                    app = self._random.choice(["chaotic:One", "chaotic:Two", "chaotic:Three"])
                    await master.swap(name, app=app)
                case "keeper":
                    for each in UNITS:
                        self._touch(each)
                    for pid in _children(os.getpid(), "/keeper\0"):
                        os.kill(pid, signal.SIGKILL)
        self._touch(name)

    def _touch(self, name: str) -> None:
        self._touched[name] = asyncio.get_running_loop().time()

    def _signal(self, master: Master, name: str, number: int) -> None:
        pid = master.status()[name].pid
        if pid is not None:
            # A worker is a child of the keeper, and no pid of it is used again in a moment.
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    async def _call_on(
        self, master: Master | RemoteMaster, caller: int, dice: random.Random
    ) -> None:
        number = 0
        while not self._done.is_set():
            number += 1
            unit = dice.choice(UNITS)
            client = master.client(Kinds, unit=unit)
            key = f"{caller}-{number}"
            self.report.calls += 1
            call = asyncio.ensure_future(_call(client, key, dice))
            if dice.random() < 0.05:
                await asyncio.wait((call,), timeout=dice.random() / 10)
                call.cancel()
            try:
                await call
            except asyncio.CancelledError:
                self.report.outcomes["cancelled"] += 1
            except RpcError as error:
                told = f"{error.code.name} {error.dispatched}"
                self.report.outcomes[told] += 1
                if told not in ALLOWED:
                    self.report.wrong.append(f"call {key}: {told}: {error.message}")
                if error.dispatched is Dispatch.NO:
                    self._answered[key] -= 1
                    self._justify(key, unit, error)
                await asyncio.sleep(0.01)
            else:
                self.report.outcomes["answered"] += 1
                self._answered[key] += 1

    def _justify(self, key: str, unit: str, error: RpcError) -> None:
        """A call may be refused for a reason that the actions gave; never for the asking."""
        untouched = asyncio.get_running_loop().time() - self._touched[unit]
        reasons = {getattr(detail, "reason", "") for detail in error.details}
        if isinstance(error, StartError) or reasons & {"HELD", "STOPPED", "DRAINING"}:
            return
        if reasons & {"NOT_READY"} and untouched < SETTLED:
            return
        self.report.wrong.append(
            f"call {key} of {unit} was refused, {untouched:.1f} s after somebody touched it: "
            f"{error.message}"
        )

    def _check(self, descriptors: Counter[str]) -> None:
        file = self._folder / "calls"
        begun = Counter(file.read_text().split()) if file.exists() else Counter[str]()
        answered = self.report.outcomes["answered"]
        if answered < ANSWERED * self.report.calls:
            self.report.wrong.append(f"only {answered} of {self.report.calls} calls were answered")
        for key, times in begun.items():
            if times > 1:
                self.report.wrong.append(f"call {key} ran {times} times")
        for key, answers in self._answered.items():
            if answers > 0 and not begun[key]:
                self.report.wrong.append(f"call {key} was answered and never ran")
            if answers < 0 and begun[key]:
                self.report.wrong.append(f"call {key} ran, and its caller was told that it did not")
        if left := _processes_in(self._folder):
            self.report.wrong.append(f"processes are left: {left}")
        if more := _more_than(descriptors):
            self.report.wrong.append(f"descriptors are left: {dict(more)}")
        if tasks := [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]:
            self.report.wrong.append(f"tasks are left: {tasks}")


#: How a call may fail here. A lost answer is UNAVAILABLE, and says what is known of it.
ALLOWED = frozenset(
    {"UNAVAILABLE no", "UNAVAILABLE yes", "UNAVAILABLE unknown", "DEADLINE_EXCEEDED no"}
    | {"DEADLINE_EXCEEDED unknown", "DEADLINE_EXCEEDED yes"}
)


async def _call(client: KindsClient, key: str, dice: random.Random) -> None:
    timeout = dice.choice(TIMEOUTS)
    match dice.randrange(4):
        case 0:
            answer = await client.unary(Ask(text=key, number=dice.randrange(30)), timeout=timeout)
            assert key == answer.text
        case 1:
            asks = [Ask(text=key)] * dice.randrange(1, 20)
            assert len(asks) == (await client.client_stream(asks, timeout=timeout)).number
        case 2:
            count = dice.randrange(50)
            stream = client.server_stream(Ask(text=key, number=count), timeout=timeout)
            assert list(range(count)) == [each.number async for each in stream]
        case _:
            count = dice.randrange(1, 20)
            echoed = [each.text async for each in client.bidi(_asks(key, count), timeout=timeout)]
            assert [key] * count == echoed


async def _asks(key: str, count: int) -> AsyncIterator[Ask]:
    for _ in range(count):
        yield Ask(text=key)


def _descriptors() -> Counter[str]:
    """What is open, by kind: numbers change from run to run."""
    kinds: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            kinds[os.readlink(f"/proc/self/fd/{number}").partition("[")[0]] += 1
    return kinds


def _more_than(descriptors: Counter[str]) -> Counter[str]:
    more = _descriptors() - descriptors
    # grpc makes pollers for its threads as it likes; the master has nothing of this kind.
    del more["anon_inode:"]
    return more


def _children(parent: int, word: str) -> list[int]:
    tasks = Path(f"/proc/{parent}/task")
    pids = [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
    return [pid for pid in pids if word in _command(pid)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _processes_in(folder: Path) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if os.readlink(f"/proc/{name}/cwd") == str(folder):
                found.append(int(name))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    # First of all: whatever happens then can be repeated.
    print(f"seed {options.seed}", file=sys.stderr)
    report = chaos(options.seed, options.seconds)
    print(report.as_json())
    return 1 if report.wrong else 0


def chaos(seed: int, seconds: float) -> Report:
    """One run in a folder of its own; whatever it raises is wrong, and is in the report."""
    with tempfile.TemporaryDirectory(prefix="hsu-chaos-") as folder:
        run = Chaos(Path(folder).resolve(), seed, seconds)
        try:
            asyncio.run(run.run())
        except Exception:
            run.report.wrong.append(traceback.format_exc())
        return run.report


if __name__ == "__main__":
    sys.exit(main())
