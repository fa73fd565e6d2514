"""Broken workers: what each check has to catch, as changes of a line of whole_worker.py.

`python -m tests.conformance.mutants log-resume` shows what the kit says of one of them.
"""

import asyncio
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hsu_worker.conformance import Help, Report, check, command
from hsu_worker.master.tables import UnitConfig
from tests.conformance.stubs import compiled

#: Seconds instead of fifteen, in which a worker has to be claimed.
CLAIM = 4
#: Seconds instead of 0.3, in which the kit has to see what should not be: it looks at many workers.
SETTLE = 0.6
_CLAIM = "= 15, 30, 1, 1\n"

WHOLE = Path(__file__).with_name("whole_worker.py")

#: What the whole worker does with these variables.
SLOW = Help(slow_start={"WHOLE_SLOW": "1"})
FAILING = Help(failing_start={"WHOLE_FAIL": "1"})
STUCK = Help(stuck_release={"WHOLE_STUCK": "1"})
FLOODING = Help(flood={"WHOLE_FLOOD": "1"})
EVERY = Help(
    slow_method="hsu.test.v1.Kinds/Unary",
    slow_request='{"number": "2000", "text": "x"}',
    slow_start=SLOW.slow_start,
    failing_start=FAILING.failing_start,
    stuck_release=STUCK.stuck_release,
    flood=FLOODING.flood,
)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A change that one check has to notice."""

    check: str
    sound: str
    broken: str
    seen: str
    """A part of what the check says that it sees."""
    help: Help = field(default_factory=Help)
    patience: float = 0.3
    """Low: a worker that hangs should not take long to be found out."""
    child: bool = False
    """It starts a process of its own."""
    beside: tuple[str, ...] = ()
    """More checks: of a single one, a launch that fails is no finding."""

    @property
    def name(self) -> str:
        return f"{self.check}: {' '.join(self.broken.split())[:50]}"

    async def checked(self, folder: Path, stubs: Path) -> Report:
        """What the check says of a worker that is broken so."""
        worker = whole(folder, stubs, self.sound, self.broken, child=self.child)
        return await check(
            worker, only=[self.check, *self.beside], help=self.help, patience=self.patience
        )


def whole(
    folder: Path, stubs: Path, sound: str = "", broken: str = "", *, child: bool = False
) -> UnitConfig:
    """The whole worker, or one in which a place reads otherwise; it has to be claimed soon."""
    text = WHOLE.read_text()
    for before, after in ((_CLAIM, _CLAIM.replace("15", f"{CLAIM}")), (sound, broken)):
        assert not before or text.count(before) == 1, f"{text.count(before)} places: {before!r}"
        text = text.replace(before, after) if before else text
    (folder / "worker.py").write_text(text)
    env = {"PYTHONPATH": str(stubs)} | ({"WHOLE_CHILD": "1"} if child else {})
    return command([sys.executable, "worker.py"], cwd=folder, env=env)


def mutant(
    check: str,
    sound: str,
    broken: str,
    seen: str,
    *,
    help: Help | None = None,  # noqa: A002
    patience: float = 0.3,
    child: bool = False,
    beside: tuple[str, ...] = (),
) -> Mutant:
    return Mutant(
        check=check,
        sound=sound,
        broken=broken,
        seen=seen,
        help=help or Help(),
        patience=patience,
        child=child,
        beside=beside,
    )


_TOKEN = "if len(given) != 1 or not hmac.compare_digest(given[0], f\"Bearer {HSU['TOKEN']}\"):"
_RECEIVE = '("grpc.max_receive_message_length", MESSAGE)'
_STOPPING = """\
        while self.state == core.STATE_STOPPING:
            await self.change()
        if self.state == core.STATE_DRAINING:"""
_JOIN = "self.start = asyncio.create_task(self.acquire())\n"
_ABANDON = """\
            self.start.cancel()
            self.start = None
            self.turn(core.STATE_STOPPED)
        if"""
_STOP_JOINS = _STOPPING.rpartition("        if")[0]
_STOP_WAITS = 'await self.calls_ended(float("inf"))\n            await self.release()'
_DRAIN_WAITS = 'await self.calls_ended(float("inf"))\n        self.cut = True'
_LIFELINE = "when_lifeline_ends.append(lambda: loop.call_soon_threadsafe(self.leave, 2))"
_WATCH_ENDS = "            if self.state == core.STATE_DRAINING:\n                return\n"
_BUSY = "answer.busy, answer.calls_in_flight = self.slots.locked(), len(self.calls)"

MUTANTS = (
    # ---- environment
    mutant(
        "unknown-variables",
        "TELLS = {",
        "sys.exit(sorted(os.environ)[0]) if 'HSU_CONTRACT' in os.environ else 0\nTELLS = {",
        "it ended: exit code 1",
        beside=("health-free",),
    ),
    mutant(
        "malformed-variable",
        "    sys.exit(f\"HSU_LISTEN={HSU['LISTEN']!r}: neither a Unix path nor TCP\")",
        '    HSU["LISTEN"] = f"unix:{os.getcwd()}/w.sock"',
        "HSU 1 ",
    ),
    mutant(
        "malformed-variable-told",
        "    sys.exit(f\"HSU_LISTEN={HSU['LISTEN']!r}: neither a Unix path nor TCP\")",
        "    os._exit(3)",
        "nothing on stderr",
    ),
    mutant("token-needed", 'if not HSU["TOKEN"]:', "if False:", "HSU 1 "),
    mutant(
        "children-environment",
        'os.environ.pop(f"HSU_{name}", "")',
        'os.environ.get(f"HSU_{name}", "")',
        "['HSU_INSTANCE', 'HSU_LIFELINE', 'HSU_LISTEN', 'HSU_TOKEN', 'HSU_UNIT']",
        child=True,
    ),
    mutant(
        "standard-input-empty",
        "    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)\n",
        "",
        "the lifeline",
    ),
    mutant(
        "output-pipes",
        "import grpc.aio\n",
        "reader, writer = os.pipe()\nos.dup2(writer, 1)\nimport grpc.aio\n",
        "pipe:[",
    ),
    mutant(
        "output-flood",
        "threading.Thread(target=flood, daemon=True).start()",
        "os.dup2(os.pipe()[1], 1)\n            loop = asyncio.get_running_loop()\n"
        "            loop.call_later(0.1, flood)",
        "0 MiB",
        help=FLOODING,
        patience=0.05,
    ),
    # ---- announcement
    mutant("announce-descriptor", "announce.write(line)", "announce.write(line * 2)", r"\nHSU 1 "),
    mutant("announce-descriptor", 'f"HSU 1 {', 'f"HSU 2 {', "speaks version 2"),
    mutant("announce-descriptor", "{address}\\n", "{address} \\n", "was asked for"),
    mutant(
        "announce-descriptor",
        'with os.fdopen(int(HSU["ANNOUNCE_FD"] or os.dup(1)), "wb", 0) as announce:',
        'with os.fdopen(os.dup(int(HSU["ANNOUNCE_FD"] or 1)), "wb", 0) as announce:',
        "still holds it open",
    ),
    mutant(
        "announce-descriptor",
        'int(HSU["ANNOUNCE_FD"] or os.dup(1))',
        "os.dup(1)",
        "it came on stdout",
    ),
    mutant(
        "announce-stdout",
        "announce.write(line)",
        'announce.write(line if HSU["ANNOUNCE_FD"] else b"at " + line)',
        "did not announce itself",
        beside=("health-free",),
    ),
    mutant(
        "announce-answers",
        'port = server.add_insecure_port(address.removeprefix("tcp:"))',
        "port = 0\n        loop.call_later(30, server.add_insecure_port, address)",
        "",
    ),
    mutant("announce-tcp", ":{port}", ":0", "tcp:127.0.0.1:0"),
    mutant(
        "announce-long-path",
        'address.removeprefix("tcp:")',
        'address.removeprefix("tcp:").split(" ")[0]',
        "No such file or directory",
    ),
    mutant("port-not-shared", '("grpc.so_reuseport", 0)', '("grpc.so_reuseport", 1)', "bound"),
    mutant("port-taken", '("grpc.so_reuseport", 0)', '("grpc.so_reuseport", 1)', "HSU 1 "),
    # ---- admission
    mutant("token-missing", _TOKEN, f"if given and ({_TOKEN[3:-1]}):", "OK"),
    mutant(
        "token-wrong", _TOKEN, "if len(given) != 1 or not given[0].startswith('Bearer '):", "OK"
    ),
    mutant(
        "token-exact", _TOKEN, "if not any(t == f\"Bearer {HSU['TOKEN']}\" for t in given):", "OK"
    ),
    mutant(
        "token-before-parsing",
        'refusal = Refusal("UNAUTHENTICATED", NO, text="token needed")\n',
        'refusal = Refusal("UNAUTHENTICATED", NO, text="token needed")\n'
        "            return grpc.unary_stream_rpc_method_handler(\n"
        "                partial(self.refuse, refusal), core.PingRequest.FromString)\n",
        "UNKNOWN",
    ),
    mutant(
        "token-refusal-dispatched",
        'Refusal("UNAUTHENTICATED", NO,',
        'Refusal("UNAUTHENTICATED", YES,',
        "hsu-dispatched: yes",
    ),
    mutant(
        "health-free",
        'if path.startswith(f"/{HEALTH}/"):',
        'if path.startswith(f"/{HEALTH}/") and dict(details.invocation_metadata).get('
        '"authorization"):',
        "UNAUTHENTICATED",
    ),
    mutant(
        "token-secret",
        'text="token needed"',
        'text="not " + HSU["TOKEN"]',
        "the token is there",
    ),
    mutant(
        "token-secret",
        'line = f"HSU 1',
        'print("token", HSU["TOKEN"], file=sys.stderr)\n        line = f"HSU 1',
        "the token is there",
    ),
    mutant(
        "token-secret",
        '["sleep", "60"]',
        '["sh", "-c", "sleep 60; :", HSU["TOKEN"]]',
        "the token is there",
        child=True,
    ),
    mutant(
        "unclaimed-leaves",
        "self.claimed or self.leave(0)",
        "None",
        "lives on",
    ),
    mutant(
        "unclaimed-leaves",
        "        given = [v",
        '        self.claimed |= path.endswith("Handshake")\n        given = [v',
        "lives on",
    ),
    mutant("unclaimed-leaves", "call_later(CLAIM", "call_later(CLAIM / 3", "it ended within"),
    mutant("claimed-stays", "self.claimed = True", "pass", "it has ended"),
    # ---- identity
    mutant(
        "handshake-identity",
        'instance=HSU["INSTANCE"],\n            name="whole"',
        'instance="",\n            name="whole"',
        "''",
    ),
    mutant("handshake-identity", "contract_version=1", "contract_version=2", "2"),
    mutant("handshake-identity", "pid=os.getpid()", "pid=1", "1"),
    mutant(
        "handshake-interfaces",
        "for method in INTERFACE.methods:\n            info",
        "for method in INTERFACE.methods[:0]:\n            info",
        "none",
    ),
    mutant("handshake-interfaces", "interfaces=[info]", "interfaces=[]", "none"),
    mutant(
        "handshake-interfaces",
        "input=method.input_type.full_name",
        "input='.' + method.input_type.full_name",
        "'.hsu.test.v1.Ask'",
    ),
    mutant(
        "handshake-reflection",
        "client_streaming=method.client_streaming,",
        "client_streaming=False,",
        "ClientStream(hsu.test.v1.Ask)",
    ),
    mutant("handshake-fingerprint", "sorted(lines)", "sorted(lines)[::-1]", ""),
    mutant(
        "handshake-newer",
        "        self.claimed = True\n",
        "        self.claimed = True\n        if request.contract_version != 1:\n"
        '            raise Refusal("FAILED_PRECONDITION", NO, text="another version")\n',
        "another version",
    ),
    mutant(
        "core-every-state",
        "        now = time.monotonic()\n",
        "        self.gate()\n        now = time.monotonic()\n",
        "NOT_RUNNING",
    ),
    mutant("handshake-told", 'name="whole",', 'name="",', "['name']"),
    mutant(
        "reflection",
        'if path in (f"/grpc.reflection.v1.{REFLECTION}", '
        'f"/grpc.reflection.v1alpha.{REFLECTION}"):',
        "if False:",
        "UNIMPLEMENTED",
    ),
    mutant(
        "reflection",
        "names = (INTERFACE.full_name, CORE.full_name)",
        "names = (CORE.full_name,)",
        "['hsu.test.v1.Kinds']",
    ),
    mutant("reflection-both", 'f"/grpc.reflection.v1.{REFLECTION}", ', "", "UNIMPLEMENTED"),
    # ---- starting
    mutant(
        "stopped-at-first",
        "self.state, self.reason, self.claimed = core.STATE_STOPPED",
        "self.state, self.reason, self.claimed = core.STATE_RUNNING",
        "RUNNING",
    ),
    mutant("refused-before-start", "                self.gate()\n", "", "INVALID_ARGUMENT"),
    mutant(
        "refused-before-start",
        'raise Refusal("UNAVAILABLE", NO,',
        'raise Refusal("UNAVAILABLE", "unknown",',
        "hsu-dispatched: unknown",
    ),
    mutant("refusal-reason", 'else "NOT_RUNNING"', 'else ""', "none"),
    mutant(
        "start-running",
        "yield core.StartResponse(state=core.STATE_RUNNING)",
        "yield core.StartResponse(state=core.STATE_STARTING)",
        "STARTING",
    ),
    mutant(
        "start-again",
        _JOIN,
        f"{_JOIN}        elif self.state == core.STATE_RUNNING:\n"
        '            raise Refusal("ALREADY_EXISTS", NO)\n',
        "ALREADY_EXISTS",
    ),
    mutant(
        "start-joined",
        _JOIN,
        f"{_JOIN}        elif self.state == core.STATE_STARTING:\n"
        '            raise Refusal("ABORTED", NO)\n',
        "ABORTED",
        help=SLOW,
    ),
    mutant(
        "start-outlives-its-caller",
        _JOIN,
        f"{_JOIN}            context.add_done_callback(lambda _, s=self.start: s.cancel())\n",
        "STARTING",
        help=SLOW,
        patience=0.05,
    ),
    mutant("start-progress", "                yield told\n", "", "1 messages", help=SLOW),
    mutant("start-failed", "return self.reason", 'return ""', "RUNNING", help=FAILING),
    mutant(
        "start-failed",
        "            self.turn(core.STATE_FAILED)\n            return",
        "            os._exit(1)\n            return",
        "UNAVAILABLE",
        help=FAILING,
    ),
    mutant(
        "start-while-stopping",
        _STOPPING,
        "        if self.state == core.STATE_STOPPING:\n"
        f'            raise Refusal("ABORTED", NO)\n{_STOPPING.splitlines()[2]}',
        "ABORTED",
    ),
    mutant(
        "start-while-stopping",
        _STOPPING,
        f"        if self.state == core.STATE_STOPPING:\n            self.turn(core.STATE_RUNNING)\n"
        f"{_STOPPING.splitlines()[2]}",
        "",
    ),
    # ---- stopping
    mutant("stop-and-start", "        self.start = None\n\n", "\n", "STOPPED"),
    mutant(
        "stop-again",
        "        if self.state == core.STATE_STARTING:\n            self.start.cancel()",
        "        if self.state == core.STATE_STOPPED:\n"
        '            raise Refusal("FAILED_PRECONDITION", NO, text="stopped")\n'
        "        if self.state == core.STATE_STARTING:\n            self.start.cancel()",
        "FAILED_PRECONDITION",
    ),
    mutant("stop-waits", _STOP_WAITS, "await self.release()", "it has answered"),
    mutant(
        "stop-waits",
        "            self.turn(core.STATE_STOPPING)\n",
        "",
        "INVALID_ARGUMENT",
    ),
    mutant(
        "stop-joined",
        f"{_STOP_JOINS}        if self.state == core.STATE_FAILED:",
        "        if self.state == core.STATE_FAILED:",
        "'STOPPING']",
    ),
    mutant(
        "stop-while-starting",
        _ABANDON,
        '            raise Refusal("FAILED_PRECONDITION", NO)\n        if',
        "FAILED_PRECONDITION",
        help=SLOW,
    ),
    mutant(
        "stop-while-starting",
        "            self.start = None\n            self.turn(core.STATE_STOPPED)",
        "            self.start = None",
        "STARTING",
        help=SLOW,
    ),
    mutant(
        "stop-abandons",
        f"{_ABANDON} self.state == core.STATE_RUNNING",
        "            await asyncio.wait([self.start])\n        if self.state == core.STATE_RUNNING",
        "RUNNING",
        help=SLOW,
    ),
    # ---- pings
    mutant("ping-echo", "payload=request.payload", 'payload=b""', "b''"),
    mutant(
        "ping-echo",
        'instance=HSU["INSTANCE"], state=self.state\n',
        "state=self.state\n",
        "''",
    ),
    mutant(
        "ping-under-load",
        "        now = time.monotonic()\n",
        "        while self.calls: await asyncio.sleep(0.01)\n        now = time.monotonic()\n",
        "DEADLINE_EXCEEDED",
    ),
    mutant("ping-when-full", _BUSY, "answer.calls_in_flight = len(self.calls)", "False"),
    mutant("ping-load", _BUSY, "answer.busy = self.slots.locked()", "0"),
    mutant(
        "ping-load",
        "answer.oldest_unbounded_call_age.FromNanoseconds(int(max(unbounded, default=0) * 1e9))",
        "pass",
        "0.0 s",
    ),
    mutant("status", "calls_in_flight=len(self.calls))", "calls_in_flight=0)", "0"),
    mutant("status", "core.GetStatusResponse(state=self.state,", "core.GetStatusResponse(", "0"),
    # ---- health
    mutant("health-states", '"SERVING" if running else', '"SERVING" if True else', "SERVING"),
    mutant(
        "health-live",
        'if name == "live":',
        'if name == "live" and self.state == core.STATE_RUNNING:',
        "NOT_FOUND",
    ),
    mutant(
        "health-unknown",
        "        return None\n\n    # ---- the life",
        "        return 2\n\n    # ---- the life",
        "NOT_SERVING",
    ),
    mutant(
        "health-watch",
        "            await self.change()\n\n    async def List",
        "            await asyncio.sleep(3600)\n\n    async def List",
        "Watch tells no change",
    ),
    mutant(
        "health-watch",
        "            await self.change()\n\n    async def List",
        "            return\n\n    async def List",
        "Watch has ended",
    ),
    mutant(
        "health-list",
        'for name in ("", "live", INTERFACE.full_name):\n            # A map',
        'for name in ("", INTERFACE.full_name):\n            # A map',
        "['live']",
    ),
    # ---- calling
    mutant(
        "methods-served",
        "for m in INTERFACE.methods}",
        "for m in INTERFACE.methods[:-1]}",
        "UNIMPLEMENTED",
    ),
    mutant(
        "methods-served",
        'raise Refusal("INVALID_ARGUMENT", YES, text="text is empty")',
        'raise Refusal("INVALID_ARGUMENT", NO, text="text is empty")',
        "hsu-dispatched: no",
    ),
    mutant(
        "empty-request",
        'raise Refusal("INVALID_ARGUMENT", YES, text="text is empty")',
        'raise ValueError("text is empty")',
        "UNKNOWN",
    ),
    mutant("unknown-method", 'Refusal("UNIMPLEMENTED",', 'Refusal("NOT_FOUND",', "NOT_FOUND"),
    mutant(
        "malformed-request",
        'raise Refusal("INVALID_ARGUMENT", NO, "MALFORMED_REQUEST") from None',
        "yield kind()",
        "OK",
    ),
    mutant(
        "malformed-request",
        'raise Refusal("INVALID_ARGUMENT", NO, "MALFORMED_REQUEST") from None',
        "os._exit(1)",
        "UNAVAILABLE",
    ),
    mutant(
        "malformed-reason",
        'Refusal("INVALID_ARGUMENT", NO, "MALFORMED_REQUEST")',
        'Refusal("INTERNAL", NO, "MALFORMED_REQUEST")',
        "INTERNAL",
    ),
    mutant(
        "message-limit",
        _RECEIVE,
        '("grpc.max_receive_message_length", 1 << 20)',
        "RESOURCE_EXHAUSTED",
    ),
    mutant("message-over-limit", _RECEIVE, '("grpc.max_receive_message_length", -1)', "OK"),
    mutant(
        "metadata-limit",
        'METADATA),\n                ("grpc.absolute_max_metadata_size", METADATA)',
        '4096),\n                ("grpc.absolute_max_metadata_size", 4096)',
        "RESOURCE_EXHAUSTED",
    ),
    mutant(
        "concurrent-calls",
        "                self.gate()\n",
        '                self.gate()\n                if self.calls: raise Refusal("ABORTED", NO)\n',
        "'ABORTED'",
    ),
    mutant(
        "concurrent-calls",
        "            self.calls.pop(key, None)\n",
        "            pass\n",
        "",
    ),
    mutant("call-cycle", "                self.refuse_cycle(context)\n", "", "DEADLINE_EXCEEDED"),
    mutant("call-cycle", "in came and self.slots.locked()", "in came", "CALL_CYCLE"),
    mutant(
        "errors-dispatched",
        'raise Refusal("INVALID_ARGUMENT", YES, text="text is empty")',
        'raise Refusal("INVALID_ARGUMENT", "unknown", text="text is empty")',
        "hsu-dispatched: unknown",
    ),
    mutant(
        "cancellation",
        "            if not (own and self.cut):\n",
        "            await asyncio.sleep(3600)\n            if not (own and self.cut):\n",
        "1 is told",
    ),
    mutant(
        "deadline",
        "            if not (own and self.cut):\n",
        "            await asyncio.sleep(3600)\n            if not (own and self.cut):\n",
        "1 is told",
    ),
    # ---- logs
    mutant(
        "log-window",
        'core.LogWindow(instance=HSU["INSTANCE"],',
        'core.LogWindow(instance="x",',
        "x",
    ),
    mutant(
        "log-window",
        "        yield core.StreamLogsResponse(window=window)\n",
        "",
        "''",
    ),
    mutant("log-resume", "record.sequence >= cursor", "record.sequence > cursor", "[]"),
    mutant(
        "log-resume",
        "request.sequence or log.oldest",
        "log.oldest",
        "",
    ),
    mutant("log-follow", "if not request.follow or log.closed:", "if True:", "it has ended"),
    mutant(
        "log-follow",
        "        self.next += 1\n        self.ring()\n",
        "        self.next += 1\n",
        "[]",
    ),
    mutant("log-filter", "record.level >= request.level and", "True and", "["),
    mutant("log-filter", "(not request.logger or below)", "True", "["),
    mutant("log-restarted", "window.restarted = restarted", "pass", "False"),
    mutant("log-out-of-range", "if cursor > log.next:", "if False:", "1 messages"),
    mutant("log-dropped", "dropped = max(0, log.oldest - cursor)", "dropped = 0", "["),
    # ---- leaving
    mutant(
        "shutdown",
        "await server.stop(0.2)\n        os._exit(0)",
        "await server.stop(0.2)\n        os._exit(1)",
        "exit code 1",
    ),
    mutant("shutdown", "        self.leaving.set()\n", "        pass\n", "lives on"),
    mutant("shutdown-grace", "answer.grace.FromMilliseconds(round(left * 1000))", "pass", "0 s"),
    mutant("shutdown-waits", _DRAIN_WAITS, "self.cut = True", "it has exited"),
    mutant(
        "shutdown-waits", "time.monotonic() + grace)", "time.monotonic() + 0.1)", "it has exited"
    ),
    mutant("shutdown-cuts-off", "time.monotonic() < min(until, self.until)", "True", "lives on"),
    mutant("cut-off-reason", '"CUT_OFF"', '""', "UNAVAILABLE"),
    mutant(
        "draining",
        "if self.state != core.STATE_RUNNING:",
        "if self.state not in (core.STATE_RUNNING, core.STATE_DRAINING):",
        "INVALID_ARGUMENT",
    ),
    mutant(
        "draining",
        'if name == "live":',
        'if name == "live" and self.state != core.STATE_DRAINING:',
        "NOT_FOUND",
    ),
    mutant(
        "draining-reasons",
        'raise Refusal("FAILED_PRECONDITION", NO, text="draining")',
        'raise Refusal("ABORTED", NO, text="draining")',
        "ABORTED",
    ),
    mutant(
        "draining-reasons",
        '"DRAINING" if draining else',
        '"NOT_RUNNING" if draining else',
        "NOT_RUNNING",
    ),
    mutant(
        "shutdown-with-streams",
        f"{_WATCH_ENDS}            await self.change()",
        "            self.calls[id(context)] = asyncio.current_task(), 0, None\n"
        "            await self.change()",
        "lives on",
    ),
    mutant("shutdown-ends-logs", "        self.log.closed = True\n", "", "UNAVAILABLE"),
    mutant(
        "shutdown-sooner",
        "self.until = min(self.until, time.monotonic() + grace)",
        'self.until = time.monotonic() + grace if self.until == float("inf") else self.until',
        "5",
    ),
    mutant(
        "shutdown-not-later",
        "self.until = min(self.until, time.monotonic() + grace)",
        "self.until = time.monotonic() + grace",
        "lives on",
    ),
    mutant(
        "shutdown-while-starting",
        "        await self.leaving.wait()\n",
        "        await self.leaving.wait()\n"
        "        if self.start and not self.start.done(): await asyncio.sleep(3600)\n",
        "lives on",
        help=SLOW,
    ),
    mutant(
        "sigterm", "for number in (signal.SIGTERM, signal.SIGINT):", "for number in ():", "killed"
    ),
    mutant(
        "sigterm",
        "        await self.leaving.wait()\n",
        "        await self.leaving.wait()\n"
        "        if self.start and not self.start.done(): os._exit(1)\n",
        "exit code 1",
        help=SLOW,
    ),
    mutant(
        "sigint",
        "for number in (signal.SIGTERM, signal.SIGINT):",
        "for number in (signal.SIGTERM,):",
        "killed by SIGINT",
    ),
    mutant("sigterm-waits", "self.leave(GRACE)\n\n", "self.leave(0)\n\n", "it has exited"),
    mutant(
        "second-signal",
        "        if self.leaving.is_set():\n            os._exit(1)\n",
        "",
        "lives on",
    ),
    mutant(
        "stuck-release",
        "await asyncio.wait_for(self.release(), RELEASE)",
        "await self.release()",
        "lives on",
        help=STUCK,
    ),
    mutant(
        "children-gone",
        "            self.child.kill()\n",
        "            pass\n",
        "sleep",
        child=True,
    ),
    mutant(
        "children-gone",
        'subprocess.Popen(["sleep", "60"])',
        'subprocess.Popen(["sleep", "60"], start_new_session=True)',
        "sleep",
        child=True,
    ),
    # ---- lifeline
    mutant("lifeline", _LIFELINE, "when_lifeline_ends.append(lambda: None)", "lives on"),
    mutant("lifeline", _LIFELINE, "when_lifeline_ends.append(lambda: os._exit(1))", "exit code 1"),
    mutant(
        "lifeline-while-starting",
        _LIFELINE,
        "when_lifeline_ends.append(lambda: self.start and not self.start.done() or "
        "loop.call_soon_threadsafe(self.leave, 2))",
        "lives on",
        help=SLOW,
    ),
    mutant(
        "lifeline-before-announcement",
        'if HSU["LIFELINE"] != "none":',
        'if HSU["LIFELINE"] != "none" and not __import__("select").select([0], [], [], 0)[0]:',
        "lives on",
    ),
    mutant("lifeline-with-call", "(self.leave, 2)", "(self.leave, 600)", "lives on"),
    mutant(
        "lifeline-by-default",
        'if HSU["LIFELINE"] != "none":',
        'if HSU["LIFELINE"] == "stdin":',
        "lives on",
    ),
    mutant(
        "lifeline-bytes",
        "    while os.read(lifeline, 4096):\n        pass\n",
        "    os.read(lifeline, 4096)\n",
        "it has exited",
    ),
    mutant("lifeline-none", 'if HSU["LIFELINE"] != "none":', "if True:", "it has exited"),
    mutant(
        "master-killed",
        "    when_lifeline_ends[-1]()\n",
        '    print("the master is gone", flush=True)\n    when_lifeline_ends[-1]()\n',
        "lives on",
    ),
    # ---- leaks
    mutant(
        "start-stop-leaks",
        "    async def acquire(self):\n",
        "    async def acquire(self):\n        os.dup(1)\n",
        "new: 90 of pipe",
        patience=1,
    ),
    mutant(
        "start-stop-leaks",
        "    async def acquire(self):\n",
        "    async def acquire(self):\n"
        "        threading.Thread(target=threading.Event().wait, daemon=True).start()\n",
        "",
        patience=1,
    ),
    mutant(
        "connection-leaks",
        "        now = time.monotonic()\n",
        "        os.dup(1)\n        now = time.monotonic()\n",
        "of pipe",
    ),
)


async def _show(name: str) -> None:
    with TemporaryDirectory() as folder:
        stubs = compiled(Path(folder) / "stubs")
        for each in MUTANTS:
            if each.check == name:
                print(
                    f"- {each.sound}\n+ {each.broken}\n\n{await each.checked(Path(folder), stubs)}\n"
                )


if __name__ == "__main__":
    asyncio.run(_show(sys.argv[1]))
