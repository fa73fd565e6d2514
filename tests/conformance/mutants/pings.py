"""Workers that break what checks/pings.py asks for."""

from tests.conformance.mutants.mutant import Mutant

_BUSY = "answer.busy, answer.calls_in_flight = self.slots.locked(), len(self.calls)"

MUTANTS = (
    Mutant("ping-echo", "payload=request.payload", 'payload=b""', "b''"),
    Mutant(
        "ping-echo",
        'instance=HSU["INSTANCE"], state=self.state\n',
        "state=self.state\n",
        "''",
    ),
    Mutant(
        "ping-under-load",
        "        now = time.monotonic()\n",
        "        while self.calls: await asyncio.sleep(0.01)\n        now = time.monotonic()\n",
        "DEADLINE_EXCEEDED",
    ),
    Mutant("ping-when-full", _BUSY, "answer.calls_in_flight = len(self.calls)", "False"),
    # It leaves calls behind, for which later checks would be blamed.
    Mutant(
        "ping-when-full",
        "            self.calls.pop(key, None)\n",
        "            pass\n",
        "some are told",
    ),
    Mutant("ping-load", _BUSY, "answer.busy = self.slots.locked()", "0"),
    Mutant(
        "ping-load",
        "answer.oldest_unbounded_call_age.FromNanoseconds(int(max(unbounded, default=0) * 1e9))",
        "pass",
        "0.0 s",
    ),
    Mutant(
        "ping-load",
        "answer.oldest_call_age.FromNanoseconds(int(max(ages, default=0) * 1e9))",
        "answer.oldest_call_age.seconds = 2**62",
        "4611686018427387904 s",
    ),
    Mutant("status", "calls_in_flight=len(self.calls))", "calls_in_flight=0)", "0"),
    Mutant("status", "core.GetStatusResponse(state=self.state,", "core.GetStatusResponse(", "0"),
)
