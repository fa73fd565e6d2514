"""Workers that break what checks/starting.py asks for."""

from tests.conformance.mutants.mutant import FAILING, SLOW, Mutant

_JOIN = "self.start = asyncio.create_task(self.acquire())\n"
_STOPPING = """\
        while self.state == core.STATE_STOPPING:
            await self.change()
        if self.state == core.STATE_DRAINING:"""

MUTANTS = (
    Mutant(
        "stopped-at-first",
        "self.state, self.reason, self.claimed = core.STATE_STOPPED",
        "self.state, self.reason, self.claimed = core.STATE_RUNNING",
        "RUNNING",
    ),
    Mutant("refused-before-start", "                self.gate()\n", "", "INVALID_ARGUMENT"),
    Mutant(
        "refused-before-start",
        'raise Refusal("UNAVAILABLE", NO,',
        'raise Refusal("UNAVAILABLE", "unknown",',
        "hsu-dispatched: unknown",
    ),
    Mutant("refusal-reason", 'else "NOT_RUNNING"', 'else ""', "none"),
    Mutant(
        "start-running",
        "yield core.StartResponse(state=core.STATE_RUNNING)",
        "yield core.StartResponse(state=core.STATE_STARTING)",
        "STARTING",
    ),
    Mutant(
        "start-again",
        _JOIN,
        f"{_JOIN}        elif self.state == core.STATE_RUNNING:\n"
        '            raise Refusal("ALREADY_EXISTS", NO)\n',
        "ALREADY_EXISTS",
    ),
    Mutant(
        "start-joined",
        _JOIN,
        f"{_JOIN}        elif self.state == core.STATE_STARTING:\n"
        '            raise Refusal("ABORTED", NO)\n',
        "ABORTED",
        help=SLOW,
    ),
    Mutant(
        "start-outlives-its-caller",
        _JOIN,
        f"{_JOIN}            context.add_done_callback(lambda _, s=self.start: s.cancel())\n",
        "STARTING",
        help=SLOW,
        patience=0.05,
    ),
    Mutant("start-progress", "                yield told\n", "", "1 messages", help=SLOW),
    Mutant("start-failed", "return self.reason", 'return ""', "RUNNING", help=FAILING),
    Mutant(
        "start-failed",
        "            self.turn(core.STATE_FAILED)\n            return",
        "            os._exit(1)\n            return",
        "UNAVAILABLE",
        help=FAILING,
    ),
    Mutant(
        "while-starting",
        "if self.state != core.STATE_RUNNING:",
        "if self.state not in (core.STATE_RUNNING, core.STATE_STARTING):",
        "INVALID_ARGUMENT",
        help=SLOW,
    ),
    Mutant(
        "while-starting",
        "given = [v",
        "if self.state == core.STATE_STARTING and 'Kinds' in path:\n"
        "            return grpc.stream_stream_rpc_method_handler("
        "partial(self.answer, self.methods[path]))\n        given = [v",
        "NOT_RUNNING",
        help=SLOW,
    ),
    Mutant(
        "start-while-stopping",
        _STOPPING,
        "        if self.state == core.STATE_STOPPING:\n"
        f'            raise Refusal("ABORTED", NO)\n{_STOPPING.splitlines()[2]}',
        "ABORTED",
    ),
    Mutant(
        "start-while-stopping",
        _STOPPING,
        f"        if self.state == core.STATE_STOPPING:\n            self.turn(core.STATE_RUNNING)\n"
        f"{_STOPPING.splitlines()[2]}",
        "",
    ),
)
