"""Workers that break what checks/leaving.py asks for."""

from tests.conformance.mutants.mutant import SLOW, STUCK, Mutant

_DRAIN_WAITS = 'await self.calls_ended(float("inf"))\n        self.cut = True'
_WATCH_ENDS = "            if self.state == core.STATE_DRAINING:\n                return\n"

MUTANTS = (
    Mutant(
        "shutdown",
        "await server.stop(0.2)\n        os._exit(0)",
        "await server.stop(0.2)\n        os._exit(1)",
        "exit code 1",
    ),
    Mutant("shutdown", "        self.leaving.set()\n", "        pass\n", "lives on"),
    Mutant("shutdown-grace", "answer.grace.FromMilliseconds(round(left * 1000))", "pass", "0 s"),
    Mutant(
        "shutdown-grace",
        "answer.grace.FromMilliseconds(round(left * 1000))",
        "answer.grace.seconds = 2**62",
        "4611686018427387904 s",
    ),
    Mutant("shutdown-waits", _DRAIN_WAITS, "self.cut = True", "it has exited"),
    Mutant(
        "shutdown-waits", "time.monotonic() + grace)", "time.monotonic() + 0.1)", "it has exited"
    ),
    Mutant("shutdown-cuts-off", "time.monotonic() < min(until, self.until)", "True", "lives on"),
    Mutant("cut-off-reason", '"CUT_OFF"', '""', "UNAVAILABLE"),
    Mutant(
        "draining",
        "if self.state != core.STATE_RUNNING:",
        "if self.state not in (core.STATE_RUNNING, core.STATE_DRAINING):",
        "INVALID_ARGUMENT",
    ),
    Mutant(
        "draining",
        'if name == "live":',
        'if name == "live" and self.state != core.STATE_DRAINING:',
        "NOT_FOUND",
    ),
    Mutant(
        "draining-reasons",
        'raise Refusal("FAILED_PRECONDITION", NO, text="draining")',
        'raise Refusal("ABORTED", NO, text="draining")',
        "ABORTED",
    ),
    Mutant(
        "draining-reasons",
        '"DRAINING" if draining else',
        '"NOT_RUNNING" if draining else',
        "NOT_RUNNING",
    ),
    Mutant(
        "shutdown-with-streams",
        f"{_WATCH_ENDS}            await self.change()",
        "            self.calls[id(context)] = asyncio.current_task(), 0, None\n"
        "            await self.change()",
        "lives on",
    ),
    Mutant("shutdown-ends-logs", "        self.log.closed = True\n", "", "UNAVAILABLE"),
    Mutant(
        "shutdown-sooner",
        "self.until = min(self.until, time.monotonic() + grace)",
        'self.until = time.monotonic() + grace if self.until == float("inf") else self.until',
        "5",
    ),
    Mutant(
        "shutdown-not-later",
        "self.until = min(self.until, time.monotonic() + grace)",
        "self.until = time.monotonic() + grace",
        "lives on",
    ),
    Mutant(
        "shutdown-while-starting",
        "        await self.leaving.wait()\n",
        "        await self.leaving.wait()\n"
        "        if self.start and not self.start.done(): await asyncio.sleep(3600)\n",
        "lives on",
        help=SLOW,
    ),
    Mutant(
        "sigterm", "for number in (signal.SIGTERM, signal.SIGINT):", "for number in ():", "killed"
    ),
    Mutant(
        "sigterm",
        "        await self.leaving.wait()\n",
        "        await self.leaving.wait()\n"
        "        if self.start and not self.start.done(): os._exit(1)\n",
        "exit code 1",
        help=SLOW,
    ),
    Mutant(
        "sigint",
        "for number in (signal.SIGTERM, signal.SIGINT):",
        "for number in (signal.SIGTERM,):",
        "killed by SIGINT",
    ),
    Mutant("sigterm-waits", "self.leave(GRACE)\n\n", "self.leave(0)\n\n", "it has exited"),
    Mutant(
        "second-signal",
        "        if self.leaving.is_set():\n            os._exit(1)\n",
        "",
        "lives on",
    ),
    Mutant(
        "stuck-release",
        "await asyncio.wait_for(self.release(), RELEASE)",
        "await self.release()",
        "lives on",
        help=STUCK,
    ),
    Mutant(
        "children-gone",
        "            self.child.kill()\n",
        "            pass\n",
        "sleep",
        child=True,
    ),
    Mutant(
        "children-gone",
        'subprocess.Popen(["sleep", "60"])',
        'subprocess.Popen(["sleep", "60"], start_new_session=True)',
        "sleep",
        child=True,
    ),
)
