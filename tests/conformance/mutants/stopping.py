"""Workers that break what checks/stopping.py asks for."""

from tests.conformance.mutants.mutant import SLOW, Mutant

_ABANDON = """\
            self.start.cancel()
            self.start = None
            self.turn(core.STATE_STOPPED)
        if"""
_STOP_WAITS = 'await self.calls_ended(float("inf"))\n            await self.release()'

MUTANTS = (
    Mutant("stop-and-start", "        self.start = None\n\n", "\n", "STOPPED"),
    Mutant(
        "stop-again",
        "        if self.state == core.STATE_STARTING:\n            self.start.cancel()",
        "        if self.state == core.STATE_STOPPED:\n"
        '            raise Refusal("FAILED_PRECONDITION", NO, text="stopped")\n'
        "        if self.state == core.STATE_STARTING:\n            self.start.cancel()",
        "FAILED_PRECONDITION",
    ),
    Mutant("stop-waits", _STOP_WAITS, "await self.release()", "it has answered"),
    Mutant(
        "stop-waits",
        "            self.turn(core.STATE_STOPPING)\n",
        "",
        "INVALID_ARGUMENT",
    ),
    Mutant(
        "while-stopping",
        "running = self.state == core.STATE_RUNNING",
        "running = self.state in (core.STATE_RUNNING, core.STATE_STOPPING)",
        "SERVING",
    ),
    Mutant(
        "while-stopping",
        'if name == "live":',
        'if name == "live" and self.state != core.STATE_STOPPING:',
        "NOT_FOUND",
    ),
    Mutant(
        "stop-joined",
        "        while self.state == core.STATE_STOPPING:\n            await self.change()\n"
        "        if self.state == core.STATE_FAILED:",
        "        if self.state == core.STATE_FAILED:",
        "'STOPPING']",
    ),
    Mutant(
        "stop-while-starting",
        _ABANDON,
        '            raise Refusal("FAILED_PRECONDITION", NO)\n        if',
        "FAILED_PRECONDITION",
        help=SLOW,
    ),
    Mutant(
        "stop-while-starting",
        "            self.start = None\n            self.turn(core.STATE_STOPPED)",
        "            self.start = None",
        "STARTING",
        help=SLOW,
    ),
    Mutant(
        "stop-abandons",
        f"{_ABANDON} self.state == core.STATE_RUNNING",
        "            await asyncio.wait([self.start])\n        if self.state == core.STATE_RUNNING",
        "RUNNING",
        help=SLOW,
    ),
    # It says so when it has loaded all the same.
    Mutant(
        "stop-abandons",
        "            self.start.cancel()\n",
        "            while self.progress.fraction < 0.9:\n                await self.change()\n"
        "            self.start.cancel()\n",
        "% of it",
        help=SLOW,
    ),
)
